"""Display of messengers' messages in streams."""

import msgspec

from colugo.errors import DecodeError
from colugo.messenger.named_message import from_bytes


def open_envelope(payload: bytes) -> tuple[dict[str, str], bytes] | None:
    """Open the envelope of a messenger's message; return None for any other message.

    Args:
        payload: the payload of a message in a stream.

    Returns:
        The fields of the envelope and the payload inside: the `repr` of msgpack data, the raw bytes of any
        other codec. Only msgpack is decoded, because `"pickle"` would let the sender run code.
    """
    try:
        envelope = from_bytes(payload)
    except DecodeError:
        return None
    facts = {"name": envelope.name, "codec": envelope.codec}
    if envelope.codec != "msgpack":
        return facts, envelope.payload
    try:
        return facts, repr(msgspec.msgpack.decode(envelope.payload)).encode(errors="backslashreplace")
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return facts, envelope.payload

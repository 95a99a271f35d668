"""Messages of messengers in the streams that keep them, for people."""

import msgspec

from colugo.errors import DecodeError
from colugo.messenger.named_message import from_bytes


def open_envelope(payload: bytes) -> tuple[dict[str, str], bytes] | None:
    """What a messenger has sent; None if it was none.

    Args:
        payload: of a message in a stream.

    Returns:
        What is known of it, by name, and its own payload: as it is, but msgpack as Python writes it. No other
        codec is used here: that of `"pickle"` would let the sender run code.
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

"""A message of a stream, and its id."""

import re
from typing import NamedTuple

from colugo.errors import ConfigurationError
from colugo.protocol.frames import ID_BYTES
from colugo.protocol.streams.ranges import MAX_NUMBER

FLAG_TEXT = 1
_SHOWN = 80
_ID = re.compile(rf"([0-9a-f]{{{2 * ID_BYTES}}})-([1-9][0-9]{{0,19}})")


class StreamMessage(NamedTuple):
    """One message of a stream.

    Attributes:
        seq: its number in the stream, from 1.
        key: at most 255 bytes of UTF-8 (AMQP's limit for routing keys); `""` for none.
        headers: a msgpack map with `str` keys; `b""` for none; at most 65,535 bytes.
        payload: the encoded message.
        flags: `FLAG_TEXT` for a `str` without a codec.
        sent_ns: the time when it was sent, nanoseconds since 1970.
        group: the only group that gets it, for a resurrected dead letter; `""` for all groups.
    """

    seq: int
    key: str
    headers: bytes
    payload: bytes
    flags: int
    sent_ns: int
    group: str = ""


def message_id(stream_id: bytes, seq: int) -> str:
    """Return the id of a message: its stream's id and its number there."""
    return f"{stream_id.hex()}-{seq}"


def split_id(text: object) -> tuple[str, int]:
    """Split a message id into the stream's id, hexadecimal, and the message's number.

    Raises:
        ConfigurationError: if the text is not a message id.
    """
    found = _ID.fullmatch(text) if isinstance(text, str) else None
    if found is None or int(found[2]) > MAX_NUMBER:
        example = message_id(bytes(range(ID_BYTES)), 1)
        raise ConfigurationError(f"{str(text)[:_SHOWN]!r} is not a message id, such as {example}")
    return found[1], int(found[2])


def number_of(text: object, stream_id: bytes) -> int:
    """Return the number of a message of this stream.

    Raises:
        ConfigurationError: if the text is not the id of one.
    """
    found = _ID.fullmatch(text) if isinstance(text, str) else None
    if found is None or found[1] != stream_id.hex() or int(found[2]) > MAX_NUMBER:
        shown = str(text)[:_SHOWN]
        raise ConfigurationError(
            f"{shown!r} is not an id of this stream: those begin with {stream_id.hex()}-"
        )
    return int(found[2])

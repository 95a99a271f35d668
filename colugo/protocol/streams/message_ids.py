"""The ids of stream messages."""

import re

from colugo.errors import ConfigurationError
from colugo.protocol.frames import ID_BYTES
from colugo.protocol.streams.ranges import MAX_NUMBER

_SHOWN = 80
_ID = re.compile(rf"([0-9a-f]{{{2 * ID_BYTES}}})-([1-9][0-9]{{0,19}})")


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

"""The control frames between nodes' own endpoints: a short header, then JSON (see `docs/wire.md`).

Such frames are few and small, so they are easy to read for people and other languages.
"""

import struct
from typing import Annotated, Any, TypeVar

import msgspec

from colugo.errors import FrameError
from colugo.protocol.error_report import ErrorReport
from colugo.protocol.frames import MAGIC, VERSION, FrameKind, check_header

MAX_CONTROL_BYTES = 1024 * 1024
"""The size of the largest frame that an endpoint accepts."""
MAX_ANSWER_BYTES = 16 * 1024 * 1024
"""The size of the largest answer to a question."""
_MAX_QUESTION_CHARS = 200
_MAX_ARGUMENTS = 100

_HEADER = struct.Struct("<BBBB")
T = TypeVar("T")


class Question(msgspec.Struct, frozen=True, omit_defaults=True):
    """A question of a tool to a node.

    The answer repeats its number. `question` is a name, such as `node`; arguments are any JSON values.
    """

    number: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
    question: Annotated[str, msgspec.Meta(max_length=_MAX_QUESTION_CHARS)]
    arguments: Annotated[dict[str, Any], msgspec.Meta(max_length=_MAX_ARGUMENTS)] = {}


class Answer(msgspec.Struct, frozen=True, omit_defaults=True):
    """The answer to the question of a number: any JSON value, or an error if the question failed."""

    number: int
    result: Any = None
    error: ErrorReport | None = None


def encode_control(kind: FrameKind, body: Any) -> bytes:
    """Encode a frame; raise TypeError if JSON cannot encode the body."""
    return _HEADER.pack(MAGIC, 0, VERSION, kind) + msgspec.json.encode(body)


def encode_bare(kind: FrameKind) -> bytes:
    """Encode a frame without a body."""
    return _HEADER.pack(MAGIC, 0, VERSION, kind)


def decode_control(frame: bytes) -> tuple[FrameKind, bytes]:
    """Return the kind and body of a frame; raise FrameError if it is not colugo's, or of another version."""
    if len(frame) < _HEADER.size:
        raise FrameError(f"a frame of {len(frame)} bytes is shorter than its header")
    magic, zero, version, kind = _HEADER.unpack_from(frame)
    check_header(magic, version)
    if zero:
        raise FrameError(f"the second byte is {zero:#04x}, not 0")
    try:
        return FrameKind(kind), frame[_HEADER.size :]
    except ValueError as error:
        raise FrameError(f"a frame of the unknown kind {kind:#04x}") from error


def is_of_other_version(frame: bytes) -> bool:
    """Return True for a colugo frame of another version, whose sender can be informed."""
    return len(frame) >= _HEADER.size and frame[:2] == bytes([MAGIC, 0]) and frame[2] != VERSION


def decode_body(body: bytes, form: type[T]) -> T:
    """Decode the body of a frame from JSON; raise FrameError if it does not match the form."""
    try:
        return msgspec.json.decode(body, type=form)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise FrameError(f"a control frame that does not decode: {error}") from error

"""The frames that nodes' own endpoints exchange: a short header, then JSON; `docs/wire.md` gives them.

They are few and small, so they are written for people and other languages to read.
"""

import struct
from typing import Annotated, Any, TypeVar

import msgspec

from colugo.errors import FrameError
from colugo.protocol.error_report import ErrorReport
from colugo.protocol.frames import MAGIC, VERSION, FrameKind, check_header

MAX_CONTROL_BYTES = 1024 * 1024
"""The longest frame that an endpoint takes."""
MAX_ANSWER_BYTES = 16 * 1024 * 1024
"""The longest answer to a question."""
_MAX_QUESTION_CHARS = 200
_MAX_ARGUMENTS = 100

_HEADER = struct.Struct("<BBBB")
T = TypeVar("T")


class Question(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a tool asks a node.

    Attributes:
        number: comes back with the answer.
        question: such as `node`.
        arguments: by name; each is anything that JSON has.
    """

    number: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
    question: Annotated[str, msgspec.Meta(max_length=_MAX_QUESTION_CHARS)]
    arguments: Annotated[dict[str, Any], msgspec.Meta(max_length=_MAX_ARGUMENTS)] = {}


class Answer(msgspec.Struct, frozen=True, omit_defaults=True):
    """The answer to a question.

    Attributes:
        number: of the question.
        result: anything that JSON has.
        error: what went wrong instead.
    """

    number: int
    result: Any = None
    error: ErrorReport | None = None


def encode_control(kind: FrameKind, body: Any) -> bytes:
    """Write a frame.

    Raises:
        TypeError: if the body is not what JSON can carry.
    """
    return _HEADER.pack(MAGIC, 0, VERSION, kind) + msgspec.json.encode(body)


def encode_bare(kind: FrameKind) -> bytes:
    """Write a frame without a body."""
    return _HEADER.pack(MAGIC, 0, VERSION, kind)


def decode_control(frame: bytes) -> tuple[FrameKind, bytes]:
    """Read the header of a frame.

    Returns:
        Its kind and its body.

    Raises:
        FrameError: if it is not ours, or of another version.
    """
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
    """Whether it is a frame of ours but for its version: the sender can be told so."""
    return len(frame) >= _HEADER.size and frame[:2] == bytes([MAGIC, 0]) and frame[2] != VERSION


def decode_body(body: bytes, form: type[T]) -> T:
    """Read the body of a frame.

    Args:
        body: JSON.
        form: a `msgspec.Struct`.

    Raises:
        FrameError: if it is not that.
    """
    try:
        return msgspec.json.decode(body, type=form)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise FrameError(f"a control frame that does not decode: {error}") from error

"""How an exception travels back to who asked."""

import msgspec

from colugo.errors import RemoteError

_MAX_CHARS = 10_000


class ErrorReport(msgspec.Struct, frozen=True):
    """An exception at the other side; on the wire as msgpack.

    Attributes:
        type_name: name of its class.
        message: its text.
    """

    type_name: str
    message: str


def encode_error(error: BaseException) -> bytes:
    """The payload of an error reply."""
    return msgspec.msgpack.encode(report_error(error))


def decode_error(payload: bytes) -> RemoteError:
    """The error that an error reply stands for; never raises."""
    try:
        report = msgspec.msgpack.decode(payload, type=ErrorReport)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return RemoteError("unknown", f"an error report of {len(payload)} bytes that does not decode")
    return RemoteError(report.type_name, report.message)


def encode_plain_error(error: BaseException) -> list[bytes]:
    """The frames of an error for a plain ZeroMQ REQ, which knows no errors: an empty one, then the text."""
    report = report_error(error)
    return [b"", f"{report.type_name}: {report.message}".encode()]


def decode_plain_error(frames: list[bytes]) -> RemoteError | None:
    """The error that the frames of a plain reply stand for, or None if they are a reply."""
    if len(frames) != 2 or frames[0]:  # noqa: PLR2004
        return None
    type_name, _, message = frames[1].decode(errors="replace").partition(": ")
    return RemoteError(type_name, message)


def report_error(error: BaseException) -> ErrorReport:
    """What travels of any exception: also of one whose text UTF-8 cannot carry, or that raises."""
    if isinstance(error, RemoteError):
        return ErrorReport(_utf8(error.type_name), _utf8(error.message))
    try:
        message = str(error)
    except Exception:  # noqa: BLE001 - a user's class
        message = "(its text cannot be had)"
    return ErrorReport(_utf8(type(error).__name__), _utf8(message))


def _utf8(text: str) -> str:
    """As UTF-8 can carry it, and not so long that the reply exceeds the client's limit."""
    if len(text) > _MAX_CHARS:
        text = text[:_MAX_CHARS] + "…"
    return text.encode(errors="replace").decode()

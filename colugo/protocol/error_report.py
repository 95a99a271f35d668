"""The form in which an exception travels back to the client."""

import msgspec

from colugo.errors import RemoteError

_MAX_CHARS = 10_000


class ErrorReport(msgspec.Struct, frozen=True):
    """The class and text of an exception at the other side; on the wire as msgpack."""

    type_name: str
    message: str


def encode_error(error: BaseException) -> bytes:
    """Return the payload of an error reply."""
    return msgspec.msgpack.encode(report_error(error))


def decode_error(payload: bytes) -> RemoteError:
    """Return the error in an error reply, even if the payload is malformed."""
    try:
        report = msgspec.msgpack.decode(payload, type=ErrorReport)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return RemoteError("unknown", f"an error report of {len(payload)} bytes that does not decode")
    return RemoteError(report.type_name, report.message)


def encode_plain_error(error: BaseException) -> list[bytes]:
    """Return an error's frames for a plain ZeroMQ REQ, which knows no errors: an empty one, then text."""
    report = report_error(error)
    return [b"", f"{report.type_name}: {report.message}".encode()]


def decode_plain_error(frames: list[bytes]) -> RemoteError | None:
    """Return the error in the frames of a plain reply, or None if they are a successful reply."""
    if len(frames) != 2 or frames[0]:  # noqa: PLR2004
        return None
    type_name, _, message = frames[1].decode(errors="replace").partition(": ")
    return RemoteError(type_name, message)


def report_error(error: BaseException) -> ErrorReport:
    """Return the report of any exception, even if its text raises or UTF-8 cannot encode it."""
    if isinstance(error, RemoteError):
        return ErrorReport(_utf8(error.type_name), _utf8(error.message))
    try:
        message = str(error)
    except Exception:  # noqa: BLE001 - a user's class
        message = "(its text cannot be had)"
    return ErrorReport(_utf8(type(error).__name__), _utf8(message))


def _utf8(text: str) -> str:
    """Replace what UTF-8 cannot encode, and cut the text to stay below the client's limit."""
    if len(text) > _MAX_CHARS:
        text = text[:_MAX_CHARS] + "…"
    return text.encode(errors="replace").decode()

"""The frames by which a consumer settles messages, in batches."""

import struct
import traceback as tracebacks
from collections.abc import Iterator, Sequence
from enum import IntEnum
from itertools import chain
from operator import itemgetter, le, lt
from typing import Annotated, NamedTuple

import msgspec

from colugo.errors import FrameError
from colugo.protocol.error_report import report_error
from colugo.protocol.frames import MAGIC, MAX_COUNT, VERSION, FrameKind, check_end, check_header
from colugo.protocol.streams.ranges import Range

MAX_REPORT_CHARS = 10_000
"""The limit of a failure's reason, and of its traceback."""
BY_RULES = 2**32 - 1
"""The delay that stands for the backoff of the stream's rules."""
MAX_DELAY_MS = BY_RULES - 1

MAX_PART_BYTES = 56 * 1024
"""The size of a frame with several entries; a stream accepts 64 KiB above its `max_message_bytes`."""
MAX_PART_RANGES = 3000
"""The number of ranges that fit into such a frame."""

_HEADER = struct.Struct("<BBBB8sII")
_OTHER = struct.Struct("<QBII")
_report_size = itemgetter(3)
_CUT = "…"
_Text = Annotated[str, msgspec.Meta(max_length=MAX_REPORT_CHARS)]


class SettlementOutcome(IntEnum):
    """The outcome of a message other than its acknowledgement.

    NACK: it failed, which counts as an attempt. RETURN: it was not started, which does not count. WORKING: it
    is in progress, and needs more time. ABANDONED: it was started and will not be finished, since the
    consumer is about to leave. REJECT: it failed for good, and becomes a dead letter at once.
    """

    NACK = 1
    RETURN = 2
    WORKING = 3
    ABANDONED = 4
    REJECT = 5


_WITH_REPORT = frozenset({SettlementOutcome.NACK, SettlementOutcome.REJECT})


class Failure(msgspec.Struct, frozen=True):
    """The reason why a message could not be handled.

    Attributes:
        reason: the exception's class and text, or the reason that the program gave.
        traceback: as Python prints it; "" for none.
    """

    reason: _Text
    traceback: _Text = ""


class Settlement(NamedTuple):
    """The settlement of one message.

    Attributes:
        delay_ms: milliseconds until the next attempt; BY_RULES for the stream's backoff.
        failure: the reason of a NACK or REJECT, if one was given.
    """

    seq: int
    outcome: SettlementOutcome
    delay_ms: int = BY_RULES
    failure: Failure | None = None


class Settle(NamedTuple):
    """A decoded batch.

    Attributes:
        ranges: the first and last numbers of acknowledged messages, ascending. A peer may send ranges of any
            width: never iterate over their numbers.
    """

    stream_id: bytes
    ranges: list[Range]
    others: list[Settlement]


def report_failure(error: BaseException) -> Failure:
    """Return the failure for an exception."""
    report = report_error(error)
    lines = tracebacks.format_exception(error)
    return Failure(f"{report.type_name}: {report.message}", "".join(lines))


def encode_settle(stream_id: bytes, ranges: Sequence[Range], others: Sequence[Settlement]) -> bytes:
    """Build the frame of at most MAX_COUNT ranges, ascending and without overlap, and as many others.

    Long reasons are cut at the end, long tracebacks at the beginning.
    """
    reports = [b"" if other.failure is None else _encode_failure(other.failure) for other in others]
    header = _HEADER.pack(MAGIC, 0, VERSION, FrameKind.SETTLE, stream_id, len(ranges), len(others))
    borders = struct.pack(f"<{2 * len(ranges)}Q", *chain.from_iterable(ranges))
    entries = [
        _OTHER.pack(other.seq, other.outcome, other.delay_ms, len(report))
        for other, report in zip(others, reports, strict=True)
    ]
    return b"".join([header, borders, *entries, *reports])


def in_parts(others: Sequence[Settlement]) -> Iterator[list[Settlement]]:
    """Split settlements into the parts for one short frame each."""
    part: list[Settlement] = []
    total = 0
    for other in others:
        size = _OTHER.size
        if other.failure is not None:
            chars = min(len(other.failure.reason), MAX_REPORT_CHARS)
            size += 4 * (chars + min(len(other.failure.traceback), MAX_REPORT_CHARS))
        total += size
        if part and total > MAX_PART_BYTES:
            yield part
            part, total = [], size
        part.append(other)
    if part:
        yield part


def decode_settle(frame: bytes) -> Settle:
    """Read the frame of a batch; raise FrameError if it is malformed, or of another version."""
    try:
        magic, reserved, version, kind, stream_id, count, others = _HEADER.unpack_from(frame)
    except struct.error:
        raise FrameError(f"{len(frame)} bytes are too few for a SETTLE") from None
    check_header(magic, version)
    if kind != FrameKind.SETTLE or reserved or not (count or others):
        raise FrameError(f"not a SETTLE: kind {kind}, second byte {reserved}, {count} and {others} entries")
    if max(count, others) > MAX_COUNT:
        raise FrameError(f"{count} ranges and {others} others in one frame; the limit is {MAX_COUNT} of each")
    others_at = _HEADER.size + 16 * count
    reports_at = others_at + _OTHER.size * others
    if reports_at > len(frame):
        raise FrameError(f"{count} ranges and {others} others do not fit into {len(frame)} bytes")
    borders = struct.unpack_from(f"<{2 * count}Q", frame, _HEADER.size)
    firsts, lasts = borders[::2], borders[1::2]
    if not (all(map(le, firsts, lasts)) and all(map(lt, (0, *lasts), firsts))):
        raise FrameError("ranges that do not ascend from 1, or that overlap")
    entries = list(_OTHER.iter_unpack(frame[others_at:reports_at]))
    check_end(reports_at + sum(map(_report_size, entries)), len(frame))
    settlements = []
    for seq, outcome, delay_ms, size in entries:
        report = frame[reports_at : reports_at + size]
        reports_at += size
        settlements.append(_decode_settlement(seq, outcome, delay_ms, report))
    return Settle(stream_id, list(zip(firsts, lasts, strict=True)), settlements)


def _decode_settlement(seq: int, number: int, delay_ms: int, report: bytes) -> Settlement:
    try:
        outcome = SettlementOutcome(number)
    except ValueError:
        raise FrameError(f"unknown outcome {number}") from None
    if not seq or (report and outcome not in _WITH_REPORT):
        raise FrameError(
            f"message {seq}, {outcome.name}, report of {len(report)} bytes: numbers begin with 1, and "
            f"only NACK and REJECT have a report"
        )
    if not report:
        return Settlement(seq, outcome, delay_ms)
    try:
        return Settlement(seq, outcome, delay_ms, msgspec.msgpack.decode(report, type=Failure))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise FrameError(f"a report that does not decode: {error}") from error


def _encode_failure(failure: Failure) -> bytes:
    reason, traceback = failure.reason, failure.traceback
    if len(reason) > MAX_REPORT_CHARS:
        reason = reason[: MAX_REPORT_CHARS - 1] + _CUT
    if len(traceback) > MAX_REPORT_CHARS:
        traceback = _CUT + traceback[1 - MAX_REPORT_CHARS :]
    return msgspec.msgpack.encode(Failure(_utf8(reason), _utf8(traceback)))


def _utf8(text: str) -> str:
    return text.encode(errors="replace").decode()

"""The frames of settlements: they round-trip, and malformed ones are rejected."""

import struct
from functools import partial
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from colugo.errors import FrameError, RemoteError
from colugo.protocol.frames import MAGIC, MAX_COUNT, VERSION, FrameKind
from colugo.protocol.streams.deliveries import encode_deliveries
from colugo.protocol.streams.ranges import MAX_NUMBER, Range, RangeSet
from colugo.protocol.streams.settlements import (
    MAX_DELAY_MS,
    MAX_REPORT_CHARS,
    Failure,
    Settle,
    Settlement,
    SettlementOutcome,
    decode_settle,
    encode_settle,
    report_failure,
)
from colugo.protocol.streams.stream_message import StreamMessage
from tests.support.memory import peak_bytes
from tests.support.mutation import with_bytes
from tests.support.reading import read_settle
from tests.support.strategies import socket_ids, texts

ID = b"stream-1"
FAILED = Settlement(9, SettlementOutcome.NACK, 500, Failure("KeyError: 'door'", "Traceback …"))
RANGES = encode_settle(ID, [(1, 1), (2, 5), (7, MAX_NUMBER)], [])
BOTH = encode_settle(
    ID, [(3, 4)], [FAILED, Settlement(1, SettlementOutcome.WORKING), Settlement(2, SettlementOutcome.RETURN)]
)

seqs = st.integers(1, MAX_NUMBER)
ranges = st.lists(st.tuples(seqs, seqs), max_size=20).map(
    lambda some: list(RangeSet((min(pair), max(pair)) for pair in some))
)
delays = st.integers(0, MAX_DELAY_MS)
others = st.lists(
    st.builds(Settlement, seqs, st.sampled_from(SettlementOutcome), delays, st.none())
    | st.builds(
        Settlement,
        seqs,
        st.sampled_from([SettlementOutcome.NACK, SettlementOutcome.REJECT]),
        delays,
        st.builds(Failure, texts, texts),
    ),
    max_size=10,
)


def check(frame: bytes) -> bool:
    """Return True if the frame is accepted; then it must be consistent."""
    try:
        read_settle(frame)
    except FrameError:
        return False
    return True


# --- the bytes on the wire


def test_the_bytes_of_a_batch_are_those_of_the_documents() -> None:
    some = [
        Settlement(258, SettlementOutcome.NACK, 500, Failure("a", "b")),
        Settlement(6, SettlementOutcome.WORKING),
    ]
    assert encode_settle(b"\x01\x02\x03\x04\x05\x06\x07\x08", [(1, 2), (4, 4)], some) == (
        b"\xc1\x00\x02\x31"
        b"\x01\x02\x03\x04\x05\x06\x07\x08"
        b"\x02\x00\x00\x00"
        b"\x02\x00\x00\x00"
        b"\x01\x00\x00\x00\x00\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00"
        b"\x04\x00\x00\x00\x00\x00\x00\x00\x04\x00\x00\x00\x00\x00\x00\x00"
        b"\x02\x01\x00\x00\x00\x00\x00\x00\x01\xf4\x01\x00\x00\x16\x00\x00\x00"
        b"\x06\x00\x00\x00\x00\x00\x00\x00\x03\xff\xff\xff\xff\x00\x00\x00\x00"
        b"\x82\xa6reason\xa1a\xa9traceback\xa1b"
    )


# --- round trips


@given(socket_ids, ranges, others)
@example(ID, [(1, MAX_NUMBER)], [])
def test_settlements_come_back_as_they_were(
    stream_id: bytes, some: list[Range], more: list[Settlement]
) -> None:
    if some or more:
        assert decode_settle(encode_settle(stream_id, some, more)) == Settle(stream_id, some, more)


def test_as_many_ranges_and_others_as_there_may_be_come_back() -> None:
    some = [(2 * number, 2 * number) for number in range(1, MAX_COUNT + 1)]
    more = [Settlement(number, SettlementOutcome.RETURN) for number in range(1, MAX_COUNT + 1)]
    assert decode_settle(encode_settle(ID, some, more)) == Settle(ID, some, more)


# --- failures


def come_back(failure: Failure) -> Failure:
    (got,) = decode_settle(encode_settle(ID, [], [FAILED._replace(failure=failure)])).others
    assert got.failure is not None
    return got.failure


def test_of_a_long_reason_the_beginning_is_sent_and_of_a_long_traceback_the_end() -> None:
    got = come_back(Failure("a" + "é" * 20_000, "é" * 20_000 + "z"))
    assert got == Failure("a" + "é" * (MAX_REPORT_CHARS - 2) + "…", "…" + "é" * (MAX_REPORT_CHARS - 2) + "z")
    assert len(got.reason) == len(got.traceback) == MAX_REPORT_CHARS


def test_what_is_as_long_as_it_may_be_is_sent_whole() -> None:
    failure = Failure("é" * MAX_REPORT_CHARS, "😀" * MAX_REPORT_CHARS)
    assert come_back(failure) == failure


def test_what_utf8_cannot_carry_is_replaced() -> None:
    assert come_back(Failure("a\ud800", "\udfffb")) == Failure("a?", "?b")


def test_the_failure_of_an_exception_has_its_class_text_and_traceback() -> None:
    def handle() -> None:
        raise KeyError("door")

    with pytest.raises(KeyError) as caught:
        handle()
    failure = report_failure(caught.value)
    assert failure.reason == "KeyError: 'door'"
    assert failure.traceback.startswith("Traceback (most recent call last):\n")
    assert 'raise KeyError("door")' in failure.traceback
    assert failure.traceback.endswith("KeyError: 'door'\n")


class Mute(Exception):  # noqa: N818 - its text is what matters
    def __str__(self) -> str:
        raise ValueError("no text")


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (Mute(), "Mute: (its text cannot be had)"),
        (ValueError("\ud800"), "ValueError: ?"),
        (RemoteError("KeyError", "'door'"), "KeyError: 'door'"),
        (SystemExit(3), "SystemExit: 3"),
    ],
)
def test_the_failure_of_any_exception_can_be_sent(error: BaseException, reason: str) -> None:
    got = come_back(report_failure(error))
    assert got.reason == reason
    assert type(error).__name__ in got.traceback


# --- frames that are none


def ranges_frame(*borders: int) -> bytes:
    head = struct.pack("<BBBB8sII", MAGIC, 0, VERSION, FrameKind.SETTLE, ID, len(borders) // 2, 0)
    return head + struct.pack(f"<{len(borders)}Q", *borders)


def report_frame(report: bytes, outcome: int = SettlementOutcome.NACK, seq: int = 5) -> bytes:
    head = struct.pack("<BBBB8sII", MAGIC, 0, VERSION, FrameKind.SETTLE, ID, 0, 1)
    return head + struct.pack("<QBII", seq, outcome, 0, len(report)) + report


def packed(value: Any) -> bytes:
    return msgspec.msgpack.encode(value)


LONG = "x" * (MAX_REPORT_CHARS + 1)
DELIVER = encode_deliveries(ID, [StreamMessage(1, "", b"", b"abcdefgh", 0, 0)])
NO_SETTLEMENTS = [
    (b"", "0 bytes are too few for a SETTLE"),
    (RANGES[:19], "19 bytes are too few"),
    (b"SSH-2.0-OpenSSH_9.2p1 Debian", "first byte is 0x53, not 0xc1: not a colugo peer"),
    (with_bytes(RANGES, 2, b"\x03"), "wire format version 3; this is version 2"),
    (with_bytes(RANGES, 1, b"\x01"), "not a SETTLE: kind 49, second byte 1, 3 and 0 entries"),
    (DELIVER, "not a SETTLE: kind 52"),
    (ranges_frame(), "not a SETTLE: kind 49, second byte 0, 0 and 0 entries"),
    (
        with_bytes(RANGES, 12, b"\x01\x00\x01\x00"),
        "65537 ranges and 0 others in one frame; the limit is 65536",
    ),
    (with_bytes(RANGES, 16, b"\x01\x00\x01\x00"), "3 ranges and 65537 others in one frame"),
    (with_bytes(RANGES, 12, b"\x04"), "4 ranges and 0 others do not fit into 68 bytes"),
    (with_bytes(RANGES, 16, b"\x01"), "3 ranges and 1 others do not fit into 68 bytes"),
    (RANGES + b"x", "the lengths add up to 68 bytes, the frame has 69"),
    (BOTH[:-1], "the lengths add up to"),
    (ranges_frame(0, 1), "ranges that do not ascend from 1, or that overlap"),
    (ranges_frame(2, 1), "ranges that do not ascend"),
    (ranges_frame(1, 3, 3, 4), "or that overlap"),
    (ranges_frame(1, MAX_NUMBER, 3, 4), "or that overlap"),
    (ranges_frame(5, 6, 1, 2), "ranges that do not ascend"),
    (ranges_frame(1, 2, 3, 4, 3, 4), "ranges that do not ascend"),
    (report_frame(b"", outcome=0), "unknown outcome 0"),
    (report_frame(b"", outcome=6), "unknown outcome 6"),
    (report_frame(b"", seq=0), "message 0, NACK, report of 0 bytes: numbers begin with 1"),
    (
        report_frame(packed(Failure("a")), SettlementOutcome.RETURN),
        "message 5, RETURN, report of 21 bytes: .*only NACK",
    ),
    (
        report_frame(packed(Failure("a")), SettlementOutcome.WORKING),
        "WORKING, report of 21 bytes: .*only NACK",
    ),
    (report_frame(b"\xc1"), "a report that does not decode"),
    (report_frame(b"\x81\xa6reason\xa1\xff"), "a report that does not decode"),
    (report_frame(packed({"traceback": "b"})), "a report that does not decode: .*reason"),
    (report_frame(packed({"reason": 5})), "a report that does not decode"),
    (report_frame(packed({"reason": LONG})), "a report that does not decode: .*length <= 10000"),
    (report_frame(packed({"reason": "", "traceback": LONG})), "a report that does not decode"),
    (report_frame(b"\x81\xa1a" + b"\x91" * 60_000 + b"\x00"), "a report that does not decode"),
]


@pytest.mark.parametrize(("frame", "reason"), NO_SETTLEMENTS)
def test_a_frame_that_is_no_batch_is_refused_with_the_reason(frame: bytes, reason: str) -> None:
    with pytest.raises(FrameError, match=reason):
        decode_settle(frame)


def test_a_report_without_a_traceback_is_taken() -> None:
    assert decode_settle(report_frame(packed({"reason": "a"}))).others[0].failure == Failure("a", "")


def test_ranges_that_touch_are_taken_as_they_are() -> None:
    assert decode_settle(ranges_frame(1, 2, 3, 4)).ranges == [(1, 2), (3, 4)]


# --- memory


def test_ranges_of_any_width_cost_no_more_than_narrow_ones() -> None:
    narrow, wide = ranges_frame(1, 1, 3, 3), ranges_frame(1, 2**63, 2**63 + 2, MAX_NUMBER)
    # the least of several: small objects may be lying ready or not, and other threads need some, too
    costs = [min(peak_bytes(partial(decode_settle, frame)) for _ in range(10)) for frame in (narrow, wide)]
    assert abs(costs[1] - costs[0]) < 200


@pytest.mark.parametrize("at", [12, 16])
@pytest.mark.parametrize("count", [2**16, 2**31 - 1, 2**31, 2**32 - 1])
def test_a_count_that_does_not_fit_asks_for_no_memory(count: int, at: int) -> None:
    forged = with_bytes(BOTH, at, count.to_bytes(4, "little"))
    assert peak_bytes(lambda: check(forged)) < 20_000
    assert not check(forged)


def test_the_densest_frames_take_at_most_sixteen_times_their_size() -> None:
    some = [(2**40 + 2 * number, 2**40 + 2 * number) for number in range(10_000)]
    more = [Settlement(2**40 + number, SettlementOutcome.RETURN, 5000) for number in range(10_000)]
    for frame in (encode_settle(ID, some, []), encode_settle(ID, [], more)):
        assert peak_bytes(lambda frame=frame: decode_settle(frame)) < 16 * len(frame)  # type: ignore[misc]

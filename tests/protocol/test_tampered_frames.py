"""Tampered frames of requests, replies and streams: decoders reject them, or their contents are consistent.

The frames of publish/subscribe, some of which come in pairs, are in test_publications.py; mutants of all are
in test_fuzz_decoders.py.
"""

from collections.abc import Callable
from functools import partial
from random import Random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from colugo.errors import FrameError
from colugo.protocol.frames import MAGIC, NO_ID, VERSION, FrameKind
from colugo.protocol.pubsub.publications import encode_publication
from colugo.protocol.requests.calls import FLAG_ERROR, FLAG_REFUSED, FLAG_TEXT, Call, encode_calls
from colugo.protocol.streams.deliveries import encode_deliveries
from colugo.protocol.streams.ranges import MAX_NUMBER
from colugo.protocol.streams.settlements import (
    MAX_DELAY_MS,
    Failure,
    Settlement,
    SettlementOutcome,
    encode_settle,
)
from colugo.protocol.streams.stream_message import StreamMessage
from tests.support.mutation import accepted_bytes, mutants, with_numbers
from tests.support.reading import read_calls, read_deliveries, read_settle

ID = b"sender-1"
NOW = 1_700_000_000_000_000_000
READERS: dict[int, Callable[[bytes], object]] = {
    FrameKind.REQUEST: partial(read_calls, kind=FrameKind.REQUEST),
    FrameKind.REPLY: partial(read_calls, kind=FrameKind.REPLY),
    FrameKind.DELIVER: read_deliveries,
    FrameKind.SETTLE: read_settle,
}
SHORT = {
    "request": encode_calls(FrameKind.REQUEST, NO_ID, [Call(1, FLAG_TEXT, b"door"), Call(2, 0, b"")]),
    "reply": encode_calls(
        FrameKind.REPLY, ID, [Call(1, FLAG_ERROR, b"no"), Call(2**64 - 1, FLAG_REFUSED, b"")]
    ),
    "one reply": encode_calls(FrameKind.REPLY, ID, [Call(7, FLAG_TEXT, b"pong")]),
    "equal requests": encode_calls(
        FrameKind.REQUEST, ID, [Call(1, 0, b"ab"), Call(2, 0, b"cd"), Call(3, 0, b"ef")]
    ),
    "delivery": encode_deliveries(
        ID, [StreamMessage(1, "", b"", b"a", FLAG_TEXT, NOW), StreamMessage(2, "", b"", b"bcd", 0, NOW)]
    ),
    "keys": encode_deliveries(
        ID,
        [
            StreamMessage(258, "lab.door", b"\x81\xa1a\x01", b"open", FLAG_TEXT, NOW),
            StreamMessage(259, "", b"", b"", 0, NOW),
            StreamMessage(2**64 - 1, "tür", b"\x80", b"\xff" * 9, 0, 0),
        ],
        [1, 2, 255],
        [False, True, True],
    ),
    "one delivery": encode_deliveries(ID, [StreamMessage(7, "k", b"", b"x", 0, NOW)]),
    "ranges": encode_settle(ID, [(1, 1), (2, 5), (7, MAX_NUMBER)], []),
    "outcomes": encode_settle(ID, [], [Settlement(MAX_NUMBER, SettlementOutcome.NACK, MAX_DELAY_MS)]),
    "both": encode_settle(
        ID,
        [(3, 4)],
        [
            Settlement(9, SettlementOutcome.NACK, 500, Failure("KeyError: 'door'", "Traceback …")),
            Settlement(1, SettlementOutcome.WORKING),
            Settlement(2, SettlementOutcome.RETURN),
        ],
    ),
}
FRAMES = SHORT | {
    "equal deliveries": encode_deliveries(
        ID, [StreamMessage(n, f"k{n}", b"\x80", b"%02d" % n, 0, NOW) for n in range(10, 80)]
    ),
}
OF_CALLS = (FrameKind.REQUEST, FrameKind.REPLY)
PUBLICATION = encode_publication(ID, 7, NOW, [b"21.5", b"", b"22"])
every_frame = pytest.mark.parametrize("frame", FRAMES.values(), ids=FRAMES)
short_frame = pytest.mark.parametrize("frame", SHORT.values(), ids=SHORT)


def check(kind: int, frame: bytes) -> bool:
    """Return True if the frame is accepted as this kind; then it must be consistent."""
    try:
        READERS[kind](frame)
    except FrameError:
        return False
    return True


def checks(frame: bytes) -> Callable[[bytes], bool]:
    """Return the check that accepts changed frames of a kind."""
    assert check(frame[3], frame)
    return partial(check, frame[3])


@every_frame
def test_every_prefix_is_refused(frame: bytes) -> None:
    accepted = checks(frame)
    assert [size for size in range(len(frame)) if accepted(frame[:size])] == []


@every_frame
@given(st.binary(min_size=1, max_size=100))
@example(b"\x00")
def test_every_extension_is_refused(frame: bytes, tail: bytes) -> None:
    assert not check(frame[3], frame + tail)
    assert not check(frame[3], frame + frame)


@short_frame
def test_whatever_one_byte_becomes_the_frame_is_refused_or_consistent(frame: bytes) -> None:
    assert accepted_bytes(frame, checks(frame))[:4] == [{MAGIC}, {0}, {VERSION}, {frame[3]}]


@short_frame
def test_whatever_a_length_or_count_becomes_the_frame_is_refused_or_consistent(frame: bytes) -> None:
    assert set(map(checks(frame), with_numbers(frame, 2, 4, 8))) == {True, False}


@short_frame
def test_any_two_frames_spliced_are_refused_or_consistent(frame: bytes) -> None:
    accepted = checks(frame)
    like = [other for other in SHORT.values() if (other[3] in OF_CALLS) is (frame[3] in OF_CALLS)]
    outcomes = {
        accepted(frame[:cut] + other[resume:])
        for other in (*like, PUBLICATION)
        for cut in range(len(frame))
        for resume in range(len(other))
    }
    assert outcomes == {True, False}


@every_frame
def test_random_mutants_are_refused_or_consistent(frame: bytes) -> None:
    assert set(map(checks(frame), mutants([frame], Random(1), 2000))) == {True, False}


@given(st.sampled_from([*READERS]), st.binary(max_size=150))
@example(FrameKind.DELIVER, b"")
def test_arbitrary_bytes_are_refused_or_consistent(kind: int, data: bytes) -> None:
    check(kind, data)
    check(kind, bytes([MAGIC, 0, VERSION, kind]) + data)

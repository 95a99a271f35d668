"""The replay for a late joiner: the newest messages in order, however they were sent."""

from collections.abc import Callable
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tests.support.strategies  # noqa: F401 - loads hypothesis' profile
from colugo.protocol.frames import BATCH_BYTES, LARGE_BYTES, MAX_COUNT, FrameKind
from colugo.protocol.pubsub.history import History
from colugo.protocol.pubsub.publications import (
    ALL_SUBSCRIBERS,
    FLAG_CONFLATE,
    FLAG_END,
    FLAG_LARGE,
    FLAG_TEXT,
    FLAG_WAIT,
    Publication,
    decode_publication,
)

ID = b"publishr"
SIZES = [0, 1, 5, BATCH_BYTES // 3, LARGE_BYTES, LARGE_BYTES + 1, BATCH_BYTES, 3 * BATCH_BYTES]


class Sent(NamedTuple):
    """A message as it was sent."""

    sequence: int
    payload: bytes
    text: bool
    sent_ns: int


class Batch(NamedTuple):
    """Messages that are sent together, and how many were conflated before them."""

    sizes: list[int]
    flags: int
    elapsed_ns: int
    gap: int


batches = st.builds(
    Batch,
    st.lists(st.sampled_from(SIZES), min_size=1, max_size=8),
    st.sampled_from([0, FLAG_TEXT, FLAG_TEXT | FLAG_END, FLAG_WAIT, FLAG_LARGE]),
    st.sampled_from([0, 0, 1_000]),
    st.sampled_from([0, 0, 0, 3]),
)
buffers = st.sampled_from([bytes, bytearray, lambda data: memoryview(bytearray(data))])


def enter(
    history: History,
    stream: list[Batch],
    first: int,
    as_buffer: Callable[[bytes], bytes | bytearray | memoryview],
) -> list[Sent]:
    """Enter all; return the messages."""
    sent: list[Sent] = []
    now = 1_700_000_000_000_000_000
    for sizes, flags, elapsed, gap in stream:
        first += gap
        now += elapsed
        payloads = [(b"%06d" % (first + at) * (size // 6 + 1))[:size] for at, size in enumerate(sizes)]
        given_payloads = [as_buffer(payload) for payload in payloads]
        history.add(first, given_payloads, flags, now)
        for buffer in given_payloads:
            if not isinstance(buffer, bytes):
                buffer[:] = bytes(len(buffer))
        sent += [
            Sent(first + at, payload, bool(flags & FLAG_TEXT), now) for at, payload in enumerate(payloads)
        ]
        first += len(sizes)
    return sent


def decode(frames: list[bytes]) -> Publication:
    """Read a message of one or two frames."""
    return decode_publication(frames[0], 0, frames[1] if len(frames) > 1 else None)


def messages(publications: list[Publication]) -> list[Sent]:
    """Return the messages that a reader gets."""
    return [
        Sent(got.first_sequence + at, payload, got.text, got.sent_ns)
        for got in publications
        for at, payload in enumerate(got.payloads())
    ]


@given(st.lists(batches, max_size=8), st.integers(1, 30), st.integers(0, 2**40), buffers, st.booleans())
def test_the_frames_are_the_newest_messages_with_their_numbers_and_times(
    stream: list[Batch],
    retain: int,
    first: int,
    as_buffer: Callable[[bytes], bytes | bytearray | memoryview],
    conflate: bool,  # noqa: FBT001 - given passes values by position
) -> None:
    history = History(ID, retain, conflate=conflate)
    sent = enter(history, stream, first, as_buffer)
    publications = [decode(frames) for frames in history.frames()]
    assert messages(publications) == sent[-retain:]
    following = sent[-1].sequence + 1 if sent else first
    assert history.first(following) == (sent[-retain:][0].sequence if sent else following)
    for got in publications:
        assert (got.kind, got.segment, got.publisher) == (FrameKind.RETAINED, ALL_SUBSCRIBERS, ID)
        assert got.flags & ~FLAG_TEXT & ~FLAG_LARGE & ~FLAG_WAIT == (FLAG_CONFLATE if conflate else 0)
        large = [length for length in got.lengths if length > LARGE_BYTES]
        assert bool(got.flags & FLAG_LARGE) is bool(large)
        assert len(got.lengths) == 1 or sum(got.lengths) <= BATCH_BYTES
        assert not large or len(got.lengths) == 1


@given(st.lists(batches, min_size=1, max_size=6), st.sampled_from([0, 1, 5]), st.integers(0, 1000))
def test_a_reader_that_was_behind_gets_the_newest_alone_and_has_to_acknowledge_it(
    stream: list[Batch], retain: int, segment: int
) -> None:
    history = History(ID, retain, conflate=True)
    sent = enter(history, stream, 0, bytes)
    got = decode(history.newest(segment))
    assert messages([got]) == sent[-1:]
    assert (got.kind, got.segment) == (FrameKind.RETAINED, segment)
    assert got.flags & (FLAG_END | FLAG_CONFLATE) == FLAG_END | FLAG_CONFLATE


def test_the_newest_does_not_go_to_late_joiners_if_nothing_is_retained() -> None:
    history = History(ID, 0, conflate=True)
    history.add(4, [b"a"], 0, 1)
    assert history.frames() == []
    assert history.first(5) == 5


def test_without_anything_to_retain_nothing_is_kept() -> None:
    history = History(ID, 0)
    history.add(4, [b"a"], 0, 1)
    assert history.frames() == []
    assert history.first(5) == 5
    with pytest.raises(IndexError):
        history.newest(1)


def test_messages_that_came_one_by_one_at_one_time_leave_together() -> None:
    history = History(ID, 100)
    for number in range(10):
        history.add(number, [b"x" * (BATCH_BYTES // 5)], 0, 7)
    assert [len(decode(frames).lengths) for frames in history.frames()] == [5, 5]


def test_a_frame_has_no_more_messages_than_readers_take() -> None:
    history = History(ID, 2 * MAX_COUNT)
    history.add(0, [b""] * (MAX_COUNT + 1), 0, 7)
    assert [len(decode(frames).lengths) for frames in history.frames()] == [MAX_COUNT, 1]


def test_large_messages_are_sent_as_they_are_kept() -> None:
    history = History(ID, 3)
    body = bytes(LARGE_BYTES + 1)
    history.add(0, [body], 0, 7)
    ((head, second),) = history.frames()
    assert second is body
    assert len(head) < 100

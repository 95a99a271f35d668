"""High-water marks by segments."""

from collections import deque

from hypothesis import given
from hypothesis import strategies as st

from colugo.protocol.publications import SEGMENTS
from colugo.protocol.window import Grant, Segments

marks = st.tuples(st.integers(1, 500), st.integers(1, 5000))
sizes = st.lists(st.integers(0, 800), max_size=200)


@given(marks, sizes, st.randoms(use_true_random=False))
def test_what_waits_for_a_reader_stays_within_its_marks(marks: tuple[int, int], sizes: list[int], random) -> None:  # type: ignore[no-untyped-def]
    hwm, max_bytes = marks
    segments = Segments(hwm, max_bytes)
    grant = Grant(0, segments.width)
    waiting: deque[tuple[int, int, bool]] = deque()
    for size in sizes:
        if size > segments.room_bytes and segments.started:
            segments.end()
        place = segments.place(1, size)
        if place.segment < grant.end:
            waiting.append((place.segment, size, place.end))
        assert len(waiting) <= hwm
        assert len(waiting) <= 1 or sum(size for _, size, _ in waiting) <= max_bytes
        while waiting and random.random() < 0.4:
            number, _, end = waiting.popleft()
            if end:
                assert grant.handled(number % SEGMENTS) == number
                grant = Grant(number + 1, number + 1 + segments.width)

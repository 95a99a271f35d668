"""High-water marks by segments: a publisher and its readers, simulated frame by frame."""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from random import Random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import tests.support.strategies  # noqa: F401 - loads hypothesis' profile
from colugo.protocol.frames import BATCH_BYTES, LARGE_BYTES, MAX_COUNT
from colugo.protocol.pubsub.credit import Credit, Segments
from colugo.protocol.pubsub.publications import ALL_SUBSCRIBERS, live_prefix


@dataclass
class Frame:
    """A frame to a reader: the numbers and sizes of its messages; none if it only ends a segment."""

    segment: int
    first: int
    sizes: list[int]
    end: bool


class SimulatedReader:
    """One reader, and what its publisher knows of it."""

    def __init__(self, segments: Segments) -> None:
        self.segments = segments
        self.credit = Credit(segments.number, segments.number)
        self.subscriptions: set[bytes] = set()
        self.waiting: deque[Frame] = deque()
        self.got: list[int] = []
        self.skipped: list[int] = []
        self.move(segments.number)

    @property
    def sizes(self) -> list[int]:
        """Of the messages that wait."""
        return [size for frame in self.waiting for size in frame.sizes]

    def move(self, begin: int) -> None:
        """Subscribe it as a publisher does: a subscription ends only when the reader has said something."""
        end = begin + self.segments.width
        self.subscriptions -= {live_prefix(n) for n in range(self.credit.begin, min(begin, self.credit.end))}
        self.subscriptions |= {live_prefix(n) for n in range(max(begin, self.credit.end), end)}
        self.credit = Credit(begin, end)

    def offer(self, frame: Frame) -> None:
        """Let ZeroMQ do its part."""
        if live_prefix(frame.segment) in self.subscriptions:
            self.waiting.append(frame)
        else:
            self.skipped += range(frame.first, frame.first + len(frame.sizes))

    def handle(self) -> None:
        """Handle the next frame that waits, and say so if it is the last of its segment."""
        frame = self.waiting.popleft()
        self.got += range(frame.first, frame.first + len(frame.sizes))
        if not frame.end:
            return
        number = self.credit.handled(frame.segment)
        assert number == frame.segment
        if self.credit.last is None:
            self.move(number + 1)
        elif number >= self.credit.last:
            self.move(self.segments.number)

    def handle_all(self) -> None:
        """Catch up."""
        while self.waiting:
            self.handle()


@dataclass
class SimulatedPublisher:
    """Gathers messages to batches, and batches to segments, as `Publisher` and `FramedWriter` do."""

    hwm: int
    max_bytes: int
    readers: list[SimulatedReader] = field(default_factory=list)
    sequence: int = 0
    batch: list[int] = field(default_factory=list)
    room: int = 0
    most: int = 0
    on_batch: Callable[[], None] | None = None
    """Called when a batch has left."""
    losses: list[tuple[SimulatedReader, int]] = field(default_factory=list)
    """The readers that fell behind at the last message, and its size."""

    def __post_init__(self) -> None:
        self.segments = Segments(self.hwm, self.max_bytes)
        self.per_segment = self.segments.room
        self.bytes_per_segment = self.segments.room_bytes

    def join(self) -> SimulatedReader:
        """Let in one more."""
        self.flush()
        reader = SimulatedReader(self.segments)
        self.readers.append(reader)
        return reader

    def send(self, size: int, *, flush: bool = True) -> None:
        """Send a message; the batch leaves at the latest when it is full."""
        self.losses = []
        if self.batch and (size > self.room or size > LARGE_BYTES or len(self.batch) == self.most):
            self.flush()
        if not self.batch:
            self.admit(size)
        self.batch.append(size)
        self.room -= size
        if flush or self.room < 0 or size > LARGE_BYTES:
            self.flush()

    def admit(self, size: int) -> None:
        segments = self.segments
        if segments.started and size > segments.room_bytes:
            self.offer(Frame(segments.end(), self.sequence, [], end=True))
        if not segments.started:
            wanted = segments.number + segments.span(size) - 1
            for reader in self.readers:
                if reader.credit.end <= wanted and not reader.credit.behind:
                    self.losses.append((reader, size))
                    reader.credit.skip(segments.number - 1)
        self.room = min(BATCH_BYTES, segments.room_bytes)
        self.most = min(segments.room, MAX_COUNT)

    def flush(self) -> None:
        """Let the batch leave."""
        if self.batch:
            assert len(self.batch) <= self.segments.room
            assert sum(self.batch) <= self.segments.room_bytes or len(self.batch) == 1
            place = self.segments.place(len(self.batch), sum(self.batch))
            self.offer(Frame(place.segment, self.sequence, self.batch, end=place.end))
            self.sequence += len(self.batch)
            self.batch = []
            if self.on_batch is not None:
                self.on_batch()

    def offer(self, frame: Frame) -> None:
        for reader in self.readers:
            reader.offer(frame)

    def check(self, reader: SimulatedReader) -> None:
        """Check that the messages that wait for a reader are within the marks."""
        sizes = reader.sizes
        assert len(sizes) <= self.hwm
        if len(sizes) > 1 and sum(sizes) > self.max_bytes:
            # nearly max_bytes in one message, or more: with it at most what one segment holds
            width = self.segments.width
            assert width > 2
            assert max(sizes) > self.max_bytes * Fraction(width - 1, width) - width
            assert sum(sizes) - max(sizes) <= self.max_bytes // width


marks = st.tuples(
    st.integers(1, 70) | st.integers(1, 2000), st.integers(1, 70) | st.integers(1, 5000) | st.just(200_000)
)
seeds = st.integers(0, 2**32)


def sizes_near(publisher: SimulatedPublisher, random: Random) -> Iterator[int]:
    """Sizes at which segments and marks end, for ever."""
    segment, width, most = publisher.bytes_per_segment, publisher.segments.width, publisher.max_bytes
    edges = [0, 1, segment // 2 + 1, segment, segment + 1, (width - 1) * segment, most, most + 1, 2 * most]
    common = random.choices([*edges, segment // 20], k=3)
    while True:
        size = random.choice(random.choice([common, common, edges, [random.randint(0, most)]]))
        yield max(0, size + random.choice([-1, 0, 0, 0, 1]))


@given(marks, seeds)
@example((2, 1), 0)
@example((100, 5), 0)
def test_what_waits_for_a_reader_stays_within_its_marks(marks: tuple[int, int], seed: int) -> None:
    random = Random(seed)
    publisher = SimulatedPublisher(*marks)
    sizes = sizes_near(publisher, random)
    publisher.join()
    speeds = [0.0, 0.1, 0.5, 0.9]
    for _ in range(400):
        if random.random() < 0.01:
            publisher.join()
        publisher.send(next(sizes), flush=random.random() < 0.5)
        for number, reader in enumerate(publisher.readers):
            publisher.check(reader)
            while reader.waiting and random.random() < speeds[number % len(speeds)]:
                reader.handle()


@given(marks, seeds)
@example((1, 1), 0)
@example((33, 33), 0)
def test_a_reader_that_keeps_up_is_never_skipped(marks: tuple[int, int], seed: int) -> None:
    random = Random(seed)
    publisher = SimulatedPublisher(*marks)
    sizes = sizes_near(publisher, random)
    stalled, reader = publisher.join(), publisher.join()
    # what ends a segment before the next batch is not handled in time: both leave at once
    publisher.on_batch = reader.handle_all
    for _ in range(400):
        publisher.send(next(sizes), flush=random.random() < 0.5)
        assert not reader.credit.behind
    publisher.flush()
    assert reader.got == [*range(publisher.sequence)]
    assert stalled.credit.behind or not stalled.skipped


@given(marks, seeds)
def test_a_reader_that_fell_behind_goes_on_when_it_has_handled_what_it_was_sent(
    marks: tuple[int, int], seed: int
) -> None:
    random = Random(seed)
    publisher = SimulatedPublisher(*marks)
    sizes = sizes_near(publisher, random)
    reader = publisher.join()
    for _ in range(random.randint(1, 12)):
        for _ in range(random.choice([1, 10, 300])):
            publisher.send(next(sizes), flush=random.random() < 0.5)
        publisher.flush()
        behind_with = [*reader.waiting] if reader.credit.behind else []
        for frame in behind_with:
            assert reader.credit.behind
            assert reader.waiting[0] is frame
            reader.handle()
        reader.handle_all()
        assert not reader.credit.behind
        publisher.send(next(sizes))
        assert reader.waiting[-1].first + len(reader.waiting[-1].sizes) == publisher.sequence
    reader.handle_all()
    assert sorted(reader.got + reader.skipped) == [*range(publisher.sequence)]
    assert reader.got == sorted(set(reader.got))


@pytest.mark.parametrize("hwm", [1, 2, 3, 32])
def test_a_stalled_reader_is_sent_no_more_however_many_segments_go_by(hwm: int) -> None:
    publisher = SimulatedPublisher(hwm, 1000)
    stalled, late = publisher.join(), publisher.join()
    for _ in range(70_000):
        publisher.send(1)
    assert publisher.segments.number == 70_000
    assert stalled.got + [frame.first for frame in stalled.waiting] == [*range(hwm)]
    late.handle_all()
    publisher.send(1)
    assert [frame.first for frame in late.waiting] == [70_000]
    assert len(stalled.waiting) == hwm


@given(st.integers(1, 500), seeds)
@example(1, 0)
@example(32, 0)
@example(33, 0)
@example(47, 0)
def test_loss_of_small_messages_begins_when_all_but_two_part_segments_of_the_mark_wait(
    hwm: int, seed: int
) -> None:
    """A segment is one message up to a mark of 32, then a 16th of the mark."""
    random = Random(seed)
    publisher = SimulatedPublisher(hwm, 10**12)
    segment = 1 if hwm <= 32 else -(-hwm // 16)
    assert publisher.per_segment == segment
    reader = publisher.join()
    sent = 0
    while not publisher.losses:
        publisher.send(1, flush=random.random() < 0.5)
        sent += 1
        if not publisher.losses and sent < 3 * hwm and reader.waiting and random.random() < 0.3:
            reader.handle()
    waiting = len(reader.sizes)
    assert hwm >= waiting >= (publisher.segments.width - 1) * segment + 1 >= hwm - 2 * segment + 2


@pytest.mark.parametrize("hwm", [1, 2, 31, 32, 33, 47, 48, 1000, 2999])
def test_that_is_the_exact_bound(hwm: int) -> None:
    publisher = SimulatedPublisher(hwm, 10**12)
    most, segment = publisher.segments.width * publisher.per_segment, publisher.per_segment
    assert hwm - segment < most <= hwm
    stopped = publisher.join()
    for _ in range(segment - 1):
        publisher.send(1)
    unlucky = publisher.join()
    for _ in range(most - segment + 1):
        publisher.send(1)
        assert publisher.losses == []
    assert len(stopped.sizes) == most
    assert len(unlucky.sizes) == most - segment + 1
    publisher.send(1)
    assert {id(reader) for reader, _ in publisher.losses} == {id(stopped), id(unlucky)}


@given(marks, seeds)
def test_with_messages_of_any_size_loss_begins_when_a_third_of_the_marks_is_used(
    marks: tuple[int, int], seed: int
) -> None:
    """The worst are empty messages and ones of a segment and a byte, in turns: three segments for one."""
    random = Random(seed)
    publisher = SimulatedPublisher(*marks)
    sizes = sizes_near(publisher, random)
    reader = publisher.join()
    for _ in range(400):
        publisher.send(next(sizes), flush=random.random() < 0.5)
        for _, size in publisher.losses:
            messages = Fraction(len(reader.sizes), publisher.per_segment)
            used = Fraction(sum(reader.sizes) + size, publisher.bytes_per_segment)
            assert messages + 3 * used >= publisher.segments.width - 1
        while reader.waiting and random.random() < 0.3:
            reader.handle()


def test_an_acknowledgement_counts_for_what_was_granted_and_not_handled_yet() -> None:
    credit = Credit(5, 8)
    assert [credit.handled(number) for number in range(3, 10)] == [None, None, 5, 6, 7, None, None]
    assert credit.handled(ALL_SUBSCRIBERS) is None
    assert not credit.behind
    credit.skip(6)
    credit.skip(7)
    assert credit.behind
    assert credit.last == 6
    assert credit.handled(ALL_SUBSCRIBERS) == 6
    assert credit.handled(5) == 5

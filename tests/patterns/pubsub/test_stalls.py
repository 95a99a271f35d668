"""A subscriber that stalls, in a process of its own: what it costs in memory, and what it counts."""

import signal
from dataclasses import dataclass

import pytest

from tests.programs.flood import TAIL
from tests.support.essentials import seconds
from tests.support.processes import MIB, MemoryWatch, answer, program

HELD, STOPPED = "its callback holds the loop", "it is stopped"
FRAME_BYTES = 300
"""The memory of a waiting frame beside its payloads: 60 of its header and 64 in ZeroMQ's queue, both
rounded up by the allocator, and as much again for its overhead. It matters where each message has its own
frame."""
ROOM = 8 * MIB
"""The allowance of a process besides: a batch, ZeroMQ's buffers, and Python's own objects."""
SPARE = 1.25
"""The ratio of an allocator's memory to the size of such blocks."""


@dataclass(frozen=True)
class Marks:
    hwm: int
    max_bytes: int

    def messages(self, size: int) -> int:
        """How many messages of a size may wait."""
        return min(self.hwm, self.max_bytes // size)

    def memory(self, size: int) -> int:
        """Return the memory that this may take in a process."""
        return int(SPARE * self.messages(size) * (size + FRAME_BYTES)) + ROOM


SMALL = Marks(1000, MIB)
DEFAULT = Marks(100_000, 64 * MIB)


def check_stall(
    realm: str, how: str, marks: Marks, *, count: int, size: int, a_turn: int = 100, hold_s: float = 0
) -> None:
    """Stall a subscriber while many messages are sent, and see that nothing is missing in its account."""
    given = {} if marks == DEFAULT else {"hwm": marks.hwm, "max_bytes": marks.max_bytes}
    with (
        program("flood", realm, count=count, size=size, a_turn=a_turn, publisher=given) as flood,
        program("stalled", realm, until={"flood": count, "tail": count + TAIL}) as stalled,
    ):
        flood.expect("ready")
        stalled.expect("connected")
        with MemoryWatch(flood) as sender, MemoryWatch(stalled) as reader:
            if how == HELD:
                stalled.signal(signal.SIGUSR1)
                stalled.expect("held")
            else:
                stalled.signal(signal.SIGSTOP)
            flood.signal(signal.SIGUSR1)
            sent = answer(flood, "sent", within=100)
            assert sent["sent"] == count
            if hold_s:
                with pytest.raises(AssertionError):  # no more output meanwhile
                    stalled.expect("flood", within=hold_s / seconds(1))
            stalled.signal(signal.SIGUSR2 if how == HELD else signal.SIGCONT)
            after = answer(stalled, "flood", within=30)
            flood.signal(signal.SIGUSR1)
            end = answer(stalled, "tail")
            taken = sender.more, reader.more
        lost_link = "disconnected lost" in stalled.lines
    print(f"{how}, {marks}, {count} of {size}: {after}, memory {taken}, link lost: {lost_link}")
    assert after["received"] + after["lost"] == count
    assert after["received"] <= marks.messages(size)
    if not lost_link:
        assert sent["behind"] == 1
        assert after["received"] >= marks.messages(size) * 7 // 8
    assert end["received"] == after["received"] + TAIL
    assert end["lost"] == after["lost"]
    assert end["got"] == end["received"]
    assert end["last"] == count + TAIL - 1
    assert all(end[what] == 0 for what in ("disorder", "duplicates", "unknown", "malformed", "conflated"))
    assert max(taken) <= marks.memory(size), taken


@pytest.mark.slow
@pytest.mark.usefixtures("transport")
@pytest.mark.parametrize(
    ("how", "marks", "count", "size"),
    [(STOPPED, SMALL, 200_000, 64), (HELD, DEFAULT, 12_000, 64 * 1024)],
)
def test_a_stalled_subscriber_takes_no_more_memory_than_its_marks_and_counts_its_loss(
    realm: str, how: str, marks: Marks, count: int, size: int
) -> None:
    check_stall(realm, how, marks, count=count, size=size)


@pytest.mark.usefixtures("transport")
@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("how", [HELD, STOPPED])
@pytest.mark.parametrize("marks", [SMALL, DEFAULT])
@pytest.mark.parametrize(("count", "size"), [(1_000_000, 64), (200_000, 64 * 1024)])
def test_a_subscriber_may_stall_for_a_million_messages_or_13_gb(
    realm: str, how: str, marks: Marks, count: int, size: int
) -> None:
    check_stall(realm, how, marks, count=count, size=size)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("how", [HELD, STOPPED])
@pytest.mark.parametrize("marks", [SMALL, DEFAULT])
def test_messages_in_frames_of_their_own_take_no_more_than_is_said(
    realm: str, how: str, marks: Marks
) -> None:
    check_stall(realm, how, marks, count=300_000, size=64, a_turn=1)


@pytest.mark.usefixtures("transport")
@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("how", [HELD, STOPPED])
@pytest.mark.parametrize(("size", "a_turn"), [(64, 1), (64 * 1024, 10)])
def test_a_stall_of_ten_seconds_is_survived_by_the_link_or_ended_and_counted(
    realm: str, how: str, size: int, a_turn: int
) -> None:
    check_stall(realm, how, DEFAULT, count=150_000, size=size, a_turn=a_turn, hold_s=10)

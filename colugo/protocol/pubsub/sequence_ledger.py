"""Counting what a reader has had of one publisher, and what it has lost. Pure."""


class SequenceLedger:
    """One publisher's stream at one reader.

    It starts with the number of the first message that the reader is to get. Each batch then continues
    the stream, leaves a gap (that many will not come), or repeats what was there (duplicates, which are
    left out). A batch of no messages shows a lost tail.

    Args:
        expected: the number of the next message.

    Attributes:
        expected: the number of the next message.
        received: messages that have come.
        lost: messages that will not come.
        conflated: messages that a newer one has replaced, because the publisher conflates.
        duplicates: messages that came again.
    """

    __slots__ = ("conflated", "duplicates", "expected", "lost", "received")

    def __init__(self, expected: int) -> None:
        self.expected = expected
        self.received = 0
        self.lost = 0
        self.conflated = 0
        self.duplicates = 0

    def take(self, first: int, count: int, *, conflate: bool = False) -> tuple[int, int]:
        """Enter a batch.

        Args:
            first: number of its first message.
            count: how many messages it has.
            conflate: whether a gap is no loss, but messages that newer ones have replaced.

        Returns:
            How many messages are lost before it, and how many of its first ones to leave out.
        """
        gap = first - self.expected
        if gap == 0:
            self.expected += count
            self.received += count
            return 0, 0
        if gap > 0:
            self.expected = first + count
            self.received += count
            if conflate:
                self.conflated += gap
                return 0, 0
            self.lost += gap
            return gap, 0
        known = min(-gap, count)
        self.duplicates += known
        self.received += count - known
        self.expected = max(self.expected, first + count)
        return 0, known

    def add(self, other: "SequenceLedger") -> None:
        """Add what another one has counted."""
        self.received += other.received
        self.lost += other.lost
        self.conflated += other.conflated
        self.duplicates += other.duplicates

"""The account of what a subscriber has received of one publisher, and what is lost. Pure."""


class SequenceLedger:
    """The sequence numbers of one publisher's stream at one subscriber.

    The stream starts with the first message that the subscriber is to receive. Each batch continues the
    stream, leaves a gap of lost messages, or repeats messages, which are left out as duplicates. A batch
    without messages reveals a lost tail.

    Args:
        expected: the sequence number of the next message.

    Attributes:
        expected: the sequence number of the next message.
        received: messages received.
        lost: messages lost.
        conflated: messages that a newer one has replaced, because the publisher conflates.
        duplicates: messages received again.
    """

    __slots__ = ("conflated", "duplicates", "expected", "lost", "received")

    def __init__(self, expected: int) -> None:
        self.expected = expected
        self.received = 0
        self.lost = 0
        self.conflated = 0
        self.duplicates = 0

    def take(self, first: int, count: int, *, conflate: bool = False) -> tuple[int, int]:
        """Record a batch.

        Args:
            first: the sequence number of its first message.
            count: the number of its messages.
            conflate: True if the messages of a gap were replaced by newer ones, False if they are lost.

        Returns:
            The number of messages lost before the batch, and of duplicates to leave out at its beginning.
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
        """Add the counters of another ledger."""
        self.received += other.received
        self.lost += other.lost
        self.conflated += other.conflated
        self.duplicates += other.duplicates

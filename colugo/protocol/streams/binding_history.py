"""Which keys a consumer group takes, now and when older messages were sent."""

from collections.abc import Iterable

from colugo.protocol.streams.bindings import MAX_BINDINGS, Bindings
from colugo.protocol.word_patterns import ANY_WORDS

MAX_EARLIER = 16
"""If a group changes its bindings more often while messages wait, the oldest ones are united."""

Earlier = tuple[tuple[int, tuple[str, ...]], ...]
"""The number of the last message that bindings are for, and their patterns; in the order of the numbers."""


class BindingHistory:
    """The bindings of a group, and those that it had when messages were sent that it is not done with yet.

    As with the queues of RabbitMQ, a message is for the group if it was bound to the key when that was sent.

    Args:
        patterns: of the bindings now.
        earlier: of the bindings before.

    Attributes:
        now: the bindings now.
    """

    __slots__ = ("_earlier", "now")

    def __init__(self, patterns: Iterable[str], earlier: Earlier = ()) -> None:
        self.now = Bindings(patterns)
        self._earlier = [(last, Bindings(before)) for last, before in earlier]

    @property
    def earlier(self) -> Earlier:
        """The bindings before, as they are kept."""
        return tuple((last, bindings.patterns) for last, bindings in self._earlier)

    @property
    def all(self) -> bool:
        """Whether every message is for the group."""
        return self.now.all and not self._earlier

    def wants(self, seq: int, key: str) -> bool:
        """Whether a message is for the group.

        Args:
            seq: its number.
            key: its key.
        """
        for last, bindings in self._earlier:
            if seq <= last:
                return bindings.matches(key)
        return self.now.matches(key)

    def change(self, patterns: Iterable[str], last: int) -> bool:
        """Take other bindings for what is sent from now on.

        Args:
            patterns: of them.
            last: the number of the last message that was sent; 0 if the new ones are for all messages.

        Returns:
            Whether they are others.
        """
        bindings, before = Bindings(patterns), self.now
        if bindings.patterns == before.patterns:
            return False
        self.now = bindings
        if not last:
            self._earlier.clear()
        elif not self._earlier or self._earlier[-1][0] < last:  # else nothing was sent meanwhile
            self._earlier.append((last, before))
            if len(self._earlier) > MAX_EARLIER:
                (_, first), (until, second), *rest = self._earlier
                self._earlier = [(until, _united(first, second)), *rest]
        return True

    def finish(self, seq: int) -> None:
        """The group is done with all messages up to a number: bindings for these are no longer needed."""
        while self._earlier and self._earlier[0][0] <= seq:
            del self._earlier[0]


def _united(one: Bindings, other: Bindings) -> Bindings:
    patterns = {*one.patterns, *other.patterns}
    return Bindings(sorted(patterns) if len(patterns) <= MAX_BINDINGS else [ANY_WORDS])

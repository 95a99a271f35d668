"""The bindings of a consumer group, now and at the time when older messages were sent."""

from collections.abc import Iterable

from colugo.protocol.streams.bindings import MAX_BINDINGS, Bindings
from colugo.protocol.word_patterns import ANY_WORDS

MAX_EARLIER = 16
"""The most earlier bindings that are kept; beyond that, the two oldest are merged."""

Earlier = tuple[tuple[int, tuple[str, ...]], ...]
"""The last message number that each earlier binding applies to, and its patterns; ascending."""


class BindingHistory:
    """The current bindings of a group, and the earlier ones that still apply to unfinished messages.

    As with RabbitMQ's queues, a message is routed by the bindings at the time when it was sent.

    Args:
        patterns: the current bindings.
        earlier: the earlier bindings.

    Attributes:
        now: the current bindings.
    """

    __slots__ = ("_earlier", "now")

    def __init__(self, patterns: Iterable[str], earlier: Earlier = ()) -> None:
        self.now = Bindings(patterns)
        self._earlier = [(last, Bindings(before)) for last, before in earlier]

    @property
    def earlier(self) -> Earlier:
        """The earlier bindings, as they are stored."""
        return tuple((last, bindings.patterns) for last, bindings in self._earlier)

    @property
    def all(self) -> bool:
        """True if the group gets every message."""
        return self.now.all and not self._earlier

    def wants(self, seq: int, key: str) -> bool:
        """Return True if the group gets a message.

        Args:
            seq: the message's number.
            key: the message's key.
        """
        for last, bindings in self._earlier:
            if seq <= last:
                return bindings.matches(key)
        return self.now.matches(key)

    def change(self, patterns: Iterable[str], last: int) -> bool:
        """Bind anew for messages that are sent from now on.

        Args:
            patterns: the new bindings.
            last: the number of the last message sent so far; 0 to apply the new bindings to all messages.

        Returns:
            False if the bindings are the same as before.
        """
        bindings, before = Bindings(patterns), self.now
        if bindings.patterns == before.patterns:
            return False
        self.now = bindings
        if not last:
            self._earlier.clear()
        elif not self._earlier or self._earlier[-1][0] < last:  # else no message was sent meanwhile
            self._earlier.append((last, before))
            if len(self._earlier) > MAX_EARLIER:
                (_, first), (until, second), *rest = self._earlier
                self._earlier = [(until, _merged(first, second)), *rest]
        return True

    def finish(self, seq: int) -> None:
        """Forget earlier bindings that apply only up to a number: the group has finished those messages."""
        while self._earlier and self._earlier[0][0] <= seq:
            del self._earlier[0]


def _merged(one: Bindings, other: Bindings) -> Bindings:
    patterns = {*one.patterns, *other.patterns}
    return Bindings(sorted(patterns) if len(patterns) <= MAX_BINDINGS else [ANY_WORDS])

"""The newest messages of a stream, for the groups that are nearly up to date."""

from bisect import bisect_right
from operator import itemgetter

from colugo.protocol.streams.stream_message import StreamMessage

_MOST_BYTES = 32 * 1024 * 1024
_OVERHEAD = 300
"""What Python needs for a message, besides its payload and headers."""
_seq, _payload, _headers = map(itemgetter, (0, 3, 2))


class Tail:
    """What was stored last, kept in memory besides, so that it need not be read again.

    Args:
        after: the number of the last message that is in the store only.

    Attributes:
        after: all that are stored and have greater numbers are here.
    """

    def __init__(self, after: int) -> None:
        self.after = after
        self._messages: list[StreamMessage] = []
        self._size = 0

    def add(self, messages: list[StreamMessage]) -> None:
        """Add what has been stored, which follows on the last; what was here longest may go."""
        self._messages += messages
        self._size += _size_of(messages)
        while self._size > _MOST_BYTES and self._messages:
            self._drop(max(1, len(self._messages) // 2))

    def following(self, after: int, limit: int) -> list[StreamMessage]:
        """The messages that follow on a number.

        Args:
            after: the number, not below the attribute `after`.
            limit: how many at most.
        """
        begin = bisect_right(self._messages, after, key=_seq)
        return self._messages[begin : begin + limit]

    def clear(self, after: int) -> None:
        """Let all go.

        Args:
            after: the number of the last message that is stored.
        """
        self.after = after
        self._messages.clear()
        self._size = 0

    def drop(self, until: int) -> None:
        """Let go of what nobody needs any more.

        Args:
            until: the number of the last message of these.
        """
        count = bisect_right(self._messages, until, key=_seq)
        if count:
            self._drop(count)

    def _drop(self, count: int) -> None:
        self.after = self._messages[count - 1].seq
        self._size -= _size_of(self._messages[:count])
        del self._messages[:count]


def _size_of(messages: list[StreamMessage]) -> int:
    size = sum(map(len, map(_payload, messages))) + sum(map(len, map(_headers, messages)))
    return size + _OVERHEAD * len(messages)

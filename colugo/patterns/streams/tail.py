"""The newest messages of a stream in memory, for groups that are nearly up to date."""

from bisect import bisect_right
from operator import itemgetter

from colugo.protocol.streams.stream_message import StreamMessage

_MAX_BYTES = 32 * 1024 * 1024
_OVERHEAD = 300
"""The memory of a message besides its payload and headers."""
_seq, _payload, _headers = map(itemgetter, (0, 3, 2))


class Tail:
    """The newest stored messages, so that they need not be read from the store.

    Args:
        after: the number of the last message that is in the store only.

    Attributes:
        after: as above; all stored messages with higher numbers are here.
    """

    def __init__(self, after: int) -> None:
        self.after = after
        self._messages: list[StreamMessage] = []
        self._size = 0

    def add(self, messages: list[StreamMessage]) -> None:
        """Add messages that follow the last one; drop the oldest ones beyond 32 MiB."""
        self._messages += messages
        self._size += _size_of(messages)
        while self._size > _MAX_BYTES and self._messages:
            self._drop(max(1, len(self._messages) // 2))

    def following(self, after: int, limit: int) -> list[StreamMessage]:
        """Return the messages after a number.

        Args:
            after: the number, at least `self.after`.
            limit: the highest number of messages.
        """
        begin = bisect_right(self._messages, after, key=_seq)
        return self._messages[begin : begin + limit]

    def clear(self, after: int) -> None:
        """Drop all messages.

        Args:
            after: the number of the last message that is stored.
        """
        self.after = after
        self._messages.clear()
        self._size = 0

    def drop(self, until: int) -> None:
        """Drop all messages up to a number."""
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

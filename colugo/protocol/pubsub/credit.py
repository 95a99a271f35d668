"""High-water marks for each reader, in messages and bytes, though ZeroMQ counts batches. Pure.

The stream is cut into segments, a fraction of the marks each. A reader is granted so many of them as
the marks allow, and one more for each that it says it has handled. What is in segments that it has not
been granted is not sent to it. So what waits for a reader, wherever it waits, stays within the marks,
and a reader that stalls costs the others nothing.
"""

from dataclasses import dataclass

from colugo.protocol.pubsub.publications import ALL_READERS

_WIDTH = 16
"""Segments the marks are cut into; loss can begin that fraction of a mark early."""
_MAX_WIDTH = 32
"""Marks of so few messages are cut into single ones."""


class Placement:
    """Where a batch goes.

    Attributes:
        segment: the number of its segment; readers that have not been granted it do not get it.
        end: whether it is the last of the segment.
    """

    __slots__ = ("end", "segment")

    def __init__(self, segment: int, *, end: bool) -> None:
        self.segment = segment
        self.end = end


class Segments:
    """Cuts a publisher's stream into segments.

    Args:
        hwm: messages that may wait for one reader, from 1 on.
        max_bytes: payload bytes that may wait for one reader, from 1 on. A message that takes all segments
            but one, or would take more, may have as much beside it as fits into that one.

    Attributes:
        number: of the segment that is being filled, or is filled next.
        width: how many segments a reader is granted beyond those it has handled.
        started: whether something is in this segment already.
    """

    __slots__ = ("_bytes", "_max_bytes", "_max_messages", "_messages", "number", "started", "width")

    def __init__(self, hwm: int, max_bytes: int) -> None:
        hwm = min(hwm, max_bytes)  # each segment takes a byte at least, so there may be no more of them
        self._max_messages = 1 if hwm <= _MAX_WIDTH else -(-hwm // _WIDTH)
        self.width = hwm // self._max_messages
        self._max_bytes = max_bytes // self.width
        self.number = 0
        self.started = False
        self._messages = 0
        self._bytes = 0

    @property
    def room(self) -> int:
        """Messages that the segment still takes, at least 1."""
        return self._max_messages - self._messages

    @property
    def room_bytes(self) -> int:
        """Payload bytes that the segment still takes."""
        return self._max_bytes - self._bytes

    def span(self, size: int) -> int:
        """How many segments a message takes that is alone in them.

        Args:
            size: of its payload, bytes.
        """
        # one segment less, so that it can follow an open one; with two, another as large would fit in then
        most = max(min(2, self.width), self.width - 1)
        return min(max(1, -(-size // self._max_bytes)), most)

    def place(self, count: int, size: int) -> Placement:
        """Enter a batch that fits into the room, or one message that has the segment for itself.

        Args:
            count: messages, at most `room`.
            size: bytes of their payloads, at most `room_bytes` if it is not alone.
        """
        self.started = True
        self._messages += count
        self._bytes += size
        if self._messages < self._max_messages and self._bytes < self._max_bytes:
            return Placement(self.number, end=False)
        return Placement(self.end(self.span(self._bytes)), end=True)

    def end(self, span: int = 1) -> int:
        """End the segment, as one that has taken the place of several; return the last one's number."""
        last = self.number + span - 1
        self.number = last + 1
        self.started = False
        self._messages = self._bytes = 0
        return last


@dataclass(slots=True)
class Credit:
    """What one reader may be sent, at its publisher.

    Attributes:
        begin: the first segment that it has not handled.
        end: the segment after the last one it has been granted.
        last: once it has fallen behind: the last segment of which it was sent something; None while
            it keeps up.
    """

    begin: int
    end: int
    last: int | None = None

    @property
    def behind(self) -> bool:
        """Whether it was not sent something, and is sent nothing until it has handled what it was."""
        return self.last is not None

    def skip(self, sent: int) -> None:
        """Something goes out that it has not been granted.

        Args:
            sent: the segment that was filled before that.
        """
        if self.last is None:
            self.last = sent

    def handled(self, segment: int) -> int | None:
        """Take in an acknowledgement.

        Args:
            segment: its number, or ALL_READERS for all that it was sent.

        Returns:
            The number of the segment; None if it has not been sent such a one.
        """
        if segment == ALL_READERS:
            return self.last
        return segment if self.begin <= segment < self.end else None

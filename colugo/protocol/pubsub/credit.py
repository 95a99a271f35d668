"""Flow control by credit: high-water marks for each subscriber, in messages and bytes. Pure.

ZeroMQ's own marks count batches. Therefore the stream is cut into segments, each a fraction of the marks. A
subscriber has credit for as many segments as the marks allow, and gets credit for one more with each segment
that it acknowledges. The publisher sends it no segment without credit. The messages that wait for a
subscriber, wherever they wait, stay within the marks, and a stalled subscriber does not slow down the others.
"""

from dataclasses import dataclass

from colugo.protocol.pubsub.publications import ALL_SUBSCRIBERS

_WIDTH = 16
"""The number of segments within the marks; loss can begin that fraction of a mark early."""
_MAX_WIDTH = 32
"""Up to this high-water mark, each segment is a single message."""


class Placement:
    """The place of a batch in the stream.

    Attributes:
        segment: the number of its segment.
        end: True if the batch is the last of the segment.
    """

    __slots__ = ("end", "segment")

    def __init__(self, segment: int, *, end: bool) -> None:
        self.segment = segment
        self.end = end


class Segments:
    """The division of a publisher's stream into segments.

    Args:
        hwm: messages that may wait for one subscriber, at least 1.
        max_bytes: payload bytes that may wait for one subscriber, at least 1. Beside a message that takes all
            segments but one, or would take more, as much may wait as fits into that one segment.

    Attributes:
        number: the number of the segment that is being filled, or is filled next.
        width: the credit of a subscriber, in segments beyond those it has acknowledged.
        started: True if the segment is not empty.
    """

    __slots__ = ("_bytes", "_max_bytes", "_max_messages", "_messages", "number", "started", "width")

    def __init__(self, hwm: int, max_bytes: int) -> None:
        hwm = min(hwm, max_bytes)  # a segment has at least a byte, so max_bytes limits their number, too
        self._max_messages = 1 if hwm <= _MAX_WIDTH else -(-hwm // _WIDTH)
        self.width = hwm // self._max_messages
        self._max_bytes = max_bytes // self.width
        self.number = 0
        self.started = False
        self._messages = 0
        self._bytes = 0

    @property
    def room(self) -> int:
        """The number of messages that the segment still takes, at least 1."""
        return self._max_messages - self._messages

    @property
    def room_bytes(self) -> int:
        """The payload bytes that the segment still takes."""
        return self._max_bytes - self._bytes

    def span(self, size: int) -> int:
        """Return the number of segments that a message takes when it is alone in them.

        Args:
            size: bytes of its payload.
        """
        # one segment less than the width, so that the message can follow an open segment; but both of two,
        # or else another message as large would fit beside it
        most = max(min(2, self.width), self.width - 1)
        return min(max(1, -(-size // self._max_bytes)), most)

    def place(self, count: int, size: int) -> Placement:
        """Place a batch that fits into the room, or a single message that has the segment for itself.

        Args:
            count: messages of the batch, at most `room`.
            size: bytes of their payloads, at most `room_bytes` unless it is a single message.
        """
        self.started = True
        self._messages += count
        self._bytes += size
        if self._messages < self._max_messages and self._bytes < self._max_bytes:
            return Placement(self.number, end=False)
        return Placement(self.end(self.span(self._bytes)), end=True)

    def end(self, span: int = 1) -> int:
        """End the segment, which takes the place of several.

        Args:
            span: how many.

        Returns:
            The number of the last of them.
        """
        last = self.number + span - 1
        self.number = last + 1
        self.started = False
        self._messages = self._bytes = 0
        return last


@dataclass(slots=True)
class Credit:
    """The segments that the publisher may send to one subscriber.

    Attributes:
        begin: the first segment that is not acknowledged.
        end: the first segment without credit.
        last: the last segment that the subscriber was sent before it fell behind; None while it keeps up.
    """

    begin: int
    end: int
    last: int | None = None

    @property
    def behind(self) -> bool:
        """True if the subscriber fell behind: it is sent nothing until it has caught up."""
        return self.last is not None

    def lacks(self, segment: int) -> bool:
        """Return True if the subscriber keeps up and has no credit for a segment."""
        return self.last is None and self.end <= segment

    def owes(self, segment: int) -> bool:
        """Return True if the subscriber keeps up and has not acknowledged everything before a segment."""
        return self.last is None and self.begin < segment

    def in_flight(self, number: int) -> int:
        """Return the number of segments before a segment that were sent and are not acknowledged."""
        return max(0, min(number, self.end) - self.begin)

    def skip(self, sent: int) -> None:
        """Leave the subscriber behind: a segment without credit is sent to others.

        Args:
            sent: the segment that was filled before.
        """
        if self.last is None:
            self.last = sent

    def handled(self, segment: int) -> int | None:
        """Return the number of the segment that an acknowledgement stands for.

        Args:
            segment: its number, or ALL_SUBSCRIBERS for everything sent before the subscriber fell behind.

        Returns:
            The number; None if the subscriber was not sent that segment, or has acknowledged it already.
        """
        if segment == ALL_SUBSCRIBERS:
            return self.last
        return segment if self.begin <= segment < self.end else None

"""The subscribers of one publisher: their joining, their credit and their progress."""

import time
from dataclasses import dataclass
from typing import Protocol

import zmq

from colugo.protocol.description.socket_descriptions import ReaderDescription
from colugo.protocol.frames import FrameKind
from colugo.protocol.pubsub.credit import Credit, Segments
from colugo.protocol.pubsub.history import History
from colugo.protocol.pubsub.publications import (
    ALL_SUBSCRIBERS,
    FLAG_CONFLATE,
    JOIN_BYTES,
    SUBSCRIBER_PREFIX,
    SegmentAck,
    decode_ack,
    encode_publication,
    live_prefix,
)

_POLLIN = int(zmq.POLLIN)
_READ_AT_ONCE = 1000
_SUBSCRIPTIONS = (b"\x00", b"\x01")
_MAX_CONNECTIONS = 3
"""The number of welcomes for a subscriber that asks to join again and again on the same connection."""


class SubscriberCreditsListener(Protocol):
    """The writer of a publisher.

    Attributes:
        sequence: the sequence number of the next message.
        gathering: True if a batch for the current segment is being gathered.
    """

    sequence: int
    gathering: bool

    def on_progress(self) -> None:
        """React to subscribers that joined, left or acknowledged something."""


@dataclass(eq=False, slots=True)
class JoinedSubscriber:
    """One subscriber.

    Attributes:
        prefix: the beginning of frames for this subscriber alone.
        connections: the number of its connections: briefly two after it has reconnected.
        credit: the segments that may be sent to it.
        skipped_from: while it is behind, the sequence number of the first message that it was not sent.
        progress: the time of its last acknowledgement, seconds of `time.monotonic`.
    """

    prefix: bytes
    connections: int
    credit: Credit
    skipped_from: int = 0
    progress: float = 0.0


class SubscriberCredits:
    """The subscribers of one publisher, on its XPUB with `ZMQ_XPUB_MANUAL`.

    With that option, `ZMQ_SUBSCRIBE` subscribes the sender of the message that was read last.

    Args:
        socket: the publisher's socket.
        publisher: the publisher's id.
        segments: the publisher's position in its stream.
        history: the messages for late joiners.
        listener: the writer.
        conflate: True to resume a subscriber that was behind with the newest message.
    """

    def __init__(
        self,
        socket: zmq.Socket[bytes],
        publisher: bytes,
        segments: Segments,
        history: History,
        *,
        listener: SubscriberCreditsListener,
        conflate: bool = False,
    ) -> None:
        self._socket = socket
        self._publisher = publisher
        self._segments = segments
        self._history = history
        self._listener = listener
        self._conflate = conflate
        self._joined: dict[bytes, JoinedSubscriber] = {}
        self._uncertain = False
        self.dropped = 0
        """Messages that were not sent to subscribers that were behind."""

    def __len__(self) -> int:
        return len(self._joined)

    @property
    def behind(self) -> int:
        """The number of subscribers that are too far behind to be sent anything."""
        return sum(subscriber.credit.behind for subscriber in self._joined.values())

    def describe(self) -> list[ReaderDescription]:
        """Return their descriptions for introspection."""
        now = time.monotonic()
        sequence, number = self._listener.sequence, self._segments.number
        return [
            ReaderDescription(
                reader=subscriber.prefix[len(SUBSCRIBER_PREFIX) :].hex(),
                behind=subscriber.credit.behind,
                skipped=sequence - subscriber.skipped_from if subscriber.credit.behind else 0,
                unhandled=subscriber.credit.in_flight(number),
                quiet_ms=round((now - subscriber.progress) * 1000),
            )
            for subscriber in self._joined.values()
        ]

    def read(self) -> bool:
        """Read messages of subscribers.

        Returns:
            True if all were read; a flood is left to the loop.
        """
        socket = self._socket
        for _ in range(_READ_AT_ONCE):
            if not int(socket.get(zmq.EVENTS)) & _POLLIN:
                return True
            self.take(socket.recv(zmq.NOBLOCK))
        return False

    def take(self, message: bytes) -> None:
        """Take a message that has just been read from the socket."""
        joins = len(message) == JOIN_BYTES and message[1:2] == SUBSCRIBER_PREFIX
        if joins and message[0] == 0:
            self._leave(message[1:])
        if message[:1] not in _SUBSCRIPTIONS or self._uncertain:
            self._ignore_until_empty()
            return
        if joins:
            if message[0] == 1:
                self._join(message[1:])
            return
        ack = decode_ack(message)
        if ack is None or ack.publisher != self._publisher:
            return  # of a plain ZeroMQ SUB, which could not read our frames, or for another publisher
        subscriber = self._joined.get(SUBSCRIBER_PREFIX + ack.subscriber)
        if subscriber is not None:
            self._acknowledge(subscriber, ack)

    def _ignore_until_empty(self) -> None:
        """Ignore messages until none is left, because their senders are uncertain.

        A message that is no subscription shifts the connections that ZeroMQ assigns to later messages.
        A subscriber whose request to join is ignored sends another.
        """
        self._uncertain = bool(int(self._socket.get(zmq.EVENTS)) & _POLLIN)

    def lacking(self, segment: int) -> list[JoinedSubscriber]:
        """Return the subscribers that keep up and have no credit for a segment."""
        return [subscriber for subscriber in self._joined.values() if subscriber.credit.lacks(segment)]

    def owing(self, segment: int) -> int:
        """Count the subscribers that keep up and have not acknowledged everything before a segment."""
        return sum(subscriber.credit.owes(segment) for subscriber in self._joined.values())

    def skip(self, subscriber: JoinedSubscriber) -> None:
        """Leave a subscriber behind: it is sent nothing until it has acknowledged what it was sent."""
        subscriber.credit.skip(self._segments.number - 1)
        subscriber.skipped_from = self._listener.sequence

    def cut_off(self, subscriber: JoinedSubscriber) -> None:
        """Leave a subscriber behind because it holds up the others, and notify it."""
        self.skip(subscriber)
        sequence = self._listener.sequence
        frame = encode_publication(self._publisher, sequence, time.time_ns(), [], kind=FrameKind.CUT)
        self._socket.send(subscriber.prefix + frame, zmq.NOBLOCK)

    def send_newest(self) -> None:
        """Before the stream ends, send the newest message to those behind, if it replaces the others."""
        if self._conflate:
            for subscriber in self._joined.values():
                if subscriber.credit.behind:
                    self._send_to(subscriber.prefix, self._history.newest(self._segments.number - 1))

    def _join(self, prefix: bytes) -> None:
        """Welcome a subscriber: tell it the position in the stream, and subscribe it from there."""
        socket = self._socket
        now = time.time_ns()
        before = self._joined.get(prefix)
        if before is not None and before.connections >= _MAX_CONNECTIONS:
            return
        self._count_dropped(before)
        first = self._history.first(self._listener.sequence)
        flags = FLAG_CONFLATE if self._conflate else 0
        credit = Credit(self._segments.number, self._segments.number + self._segments.width)
        connections = before.connections + 1 if before else 1
        self._joined[prefix] = JoinedSubscriber(prefix, connections, credit, progress=time.monotonic())
        # all subscriptions before the first send: a send processes disconnections, after which ZeroMQ has
        # forgotten the sender of the last message, and silently ignores ZMQ_SUBSCRIBE
        for wanted in (prefix, live_prefix(ALL_SUBSCRIBERS)):
            socket.set(zmq.SUBSCRIBE, wanted)
        self._subscribe(credit.begin, credit.end)
        welcome = encode_publication(self._publisher, first, now, [], kind=FrameKind.WELCOME, flags=flags)
        socket.send(prefix + welcome, zmq.NOBLOCK)
        for frames in self._history.frames():
            self._send_to(prefix, frames)
        self._listener.on_progress()

    def _leave(self, prefix: bytes) -> None:
        subscriber = self._joined.get(prefix)
        if subscriber is None:
            return
        subscriber.connections -= 1
        if subscriber.connections <= 0:
            self._count_dropped(subscriber)
            del self._joined[prefix]
        self._listener.on_progress()

    def _acknowledge(self, subscriber: JoinedSubscriber, ack: SegmentAck) -> None:
        subscriber.progress = time.monotonic()
        credit = subscriber.credit
        number = credit.handled(ack.segment)
        # "everything" counts only if it includes all that was sent before the subscriber fell behind
        if number is None or (ack.segment == ALL_SUBSCRIBERS and ack.expected < subscriber.skipped_from):
            pass
        elif credit.last is None:
            self._give_credit(subscriber, number + 1, number + 1 + self._segments.width)
        elif number >= credit.last:
            self._resume(subscriber)
        self._listener.on_progress()

    def _resume(self, subscriber: JoinedSubscriber) -> None:
        """Send to a subscriber again that has caught up."""
        self._count_dropped(subscriber)
        number = self._segments.number
        if not self._conflate or self._listener.gathering:
            self._give_credit(subscriber, number, number + self._segments.width)
            return
        # it has missed the newest message, and is to acknowledge that before the next
        self._give_credit(subscriber, number - 1, number)
        self._send_to(subscriber.prefix, self._history.newest(number - 1))

    def _give_credit(self, subscriber: JoinedSubscriber, begin: int, end: int) -> None:
        credit = subscriber.credit
        for segment in range(credit.begin, min(begin, credit.end)):
            self._socket.set(zmq.UNSUBSCRIBE, live_prefix(segment))
        self._subscribe(max(begin, credit.end), end)
        subscriber.credit = Credit(begin, end)

    def _send_to(self, prefix: bytes, frames: list[bytes]) -> None:
        self._socket.send_multipart([prefix + frames[0], *frames[1:]], zmq.NOBLOCK)

    def _subscribe(self, begin: int, end: int) -> None:
        for segment in range(begin, end):
            self._socket.set(zmq.SUBSCRIBE, live_prefix(segment))

    def _count_dropped(self, subscriber: JoinedSubscriber | None) -> None:
        if subscriber is not None and subscriber.credit.behind and not self._conflate:
            self.dropped += self._listener.sequence - subscriber.skipped_from

"""The receiving end of a subscriber: frames become messages, and missing ones are counted."""

import os
import time
from collections.abc import Callable
from functools import partial
from itertools import repeat
from typing import Any, Protocol

from colugo.errors import DecodeError, FlowError, FrameError
from colugo.net.runtime import Runtime
from colugo.net.transport.socket_reader import MoreToRead
from colugo.patterns.base import ThrottledWarnings
from colugo.patterns.pubsub.callback_queue import CallbackQueue, MessageInfo, Origin, Sequences, as_info
from colugo.patterns.pubsub.publisher_links import PublisherLink, PublisherLinks
from colugo.protocol.advertisement import Advertisement
from colugo.protocol.codecs import PLAIN, Codec
from colugo.protocol.description.socket_descriptions import LinkDescription
from colugo.protocol.frames import ID_BYTES, FrameKind
from colugo.protocol.pubsub.publications import (
    ALL_SUBSCRIBERS,
    FLAG_ANSWER,
    FLAG_CONFLATE,
    FLAG_END,
    FLAG_WAIT,
    NO_SEGMENT,
    SUBSCRIBER_PREFIX,
    Publication,
    SegmentAck,
    decode_publication,
    encode_ack,
)
from colugo.protocol.pubsub.sequence_ledger import SequenceLedger

_MOST_FRAMES = 2
_PROGRESS_PERIOD_S = 0.02
"""The shortest time between two reports of progress; `stall_ms` may be short, too."""
_DECODED_AT_ONCE = 64


Deliver = Callable[[list[Any], Sequences, Origin], MoreToRead | None]


class PublisherStream:
    """One publisher's stream at this subscriber.

    Attributes:
        ledger: the account of received and lost messages.
        acknowledged: the segment that was acknowledged last; None if none was.
        acknowledged_at: the time of the last acknowledgement or report of progress, seconds of
            `time.monotonic`.
    """

    __slots__ = ("acknowledged", "acknowledged_at", "ledger")

    def __init__(self, first: int) -> None:
        self.ledger = SequenceLedger(first)
        self.acknowledged: int | None = None
        self.acknowledged_at = 0.0


class ReceiverListener(Protocol):
    """The subscriber of a receiver."""

    def on_connected(self, peer: Advertisement) -> None:
        """Take note of a connected publisher."""

    def on_disconnected(self, peer: Advertisement, reason: str) -> None:
        """Take note of a publisher that is `"lost"` or `"withdrawn"`."""

    def on_loss(self, info: MessageInfo, count: int) -> None:
        """Report lost messages: how many, and what is known of the first."""

    def on_undecodable(self, error: DecodeError, info: MessageInfo) -> None:
        """Report a message that does not decode."""


class Receiver:
    """The receiver of one subscriber's messages.

    Args:
        runtime: the node's runtime.
        topic: a topic or pattern.
        given: endpoints of plain publishers.
        codec: the codec of the messages.
        queue: the delivery of the messages.
        listener: the subscriber.
        views: True to deliver memoryviews instead of bytes.
    """

    def __init__(
        self,
        runtime: Runtime,
        topic: str,
        given: list[str],
        codec: Codec,
        queue: CallbackQueue,
        *,
        listener: ReceiverListener,
        views: bool,
    ) -> None:
        self._topic = topic
        self._codec = codec
        self._plain = codec is PLAIN
        self._views = views
        self._queue = queue
        self._listener = listener
        self._deliver_dropping: Deliver = partial(queue.deliver_in_turns, wait=False)
        self._deliver_waiting: Deliver = partial(queue.deliver_in_turns, wait=True)
        self._subscriber_id = os.urandom(ID_BYTES)
        self._own_prefix = SUBSCRIBER_PREFIX + self._subscriber_id
        self._warnings = ThrottledWarnings(runtime)
        self.streams: dict[bytes, PublisherStream] = {}
        """The streams of framed publishers, by the publishers' ids."""
        self._past = SequenceLedger(0)
        self._undecodable_by_publisher: dict[bytes, tuple[int, str]] = {}
        self.received = self.undecodable = self.malformed = self.unknown = 0
        self.links = PublisherLinks(runtime, topic, self._subscriber_id, given, self, copy=not views)

    @property
    def publishers(self) -> list[Advertisement]:
        """The publishers that are connected now."""
        return self.links.connected

    def open(self) -> None:
        """Connect to publishers."""
        self.links.open()

    def close(self) -> None:
        """Leave all publishers."""
        self.links.close()

    def resume(self) -> None:
        """Continue to deliver after the queue was full."""
        self.links.resume()

    @property
    def codec(self) -> str:
        """The name of the codec."""
        return self._codec.name

    @property
    def subscriber_id(self) -> bytes:
        """The id by which publishers know the subscriber."""
        return self._subscriber_id

    def total(self) -> SequenceLedger:
        """Return the sums of all publishers, including those that are gone."""
        total = SequenceLedger(0)
        for ledger in (self._past, *(stream.ledger for stream in self.streams.values())):
            total.add(ledger)
        return total

    def ledgers(self) -> dict[Advertisement, SequenceLedger]:
        """Return the ledgers of the publishers that are known now."""
        return {
            link.peer: self.streams[publisher].ledger
            for publisher, link in self.links.by_id.items()
            if publisher in self.streams
        }

    def describe_links(self) -> list[LinkDescription]:
        """Return the descriptions of the connections for introspection."""
        return [self._describe(link) for link in self.links.all]

    def _describe(self, link: PublisherLink) -> LinkDescription:
        description = link.describe()
        stream = self.streams.get(link.peer.socket_id)
        if stream is not None:
            description.received = stream.ledger.received
            description.lost = stream.ledger.lost
            description.conflated = stream.ledger.conflated
            description.duplicates = stream.ledger.duplicates
        description.undecodable, description.last_error = self._undecodable_by_publisher.get(
            link.peer.socket_id, (0, "")
        )
        return description

    def on_frames(self, frames: list[Any]) -> MoreToRead | None:
        """Take a message of a framed publisher; may return the rest of the work."""
        try:
            publication = self._decode(frames)
        except FrameError as error:
            self.malformed += 1
            self._warnings.warn("malformed", f"a frame on {self._topic} is malformed", error)
            return None
        if publication.kind == FrameKind.WELCOME:
            self._welcome(publication)
            return None
        publisher = publication.publisher
        link = self.links.by_id.get(publisher)
        stream = self.streams.get(publisher)
        if link is not None and stream is not None:
            wait = bool(publication.flags & FLAG_WAIT)
            return self._take(
                publication, link, stream, self._deliver_waiting if wait else self._deliver_dropping
            )
        if not self.links.keep_early(publication):
            self.on_unknown(len(publication.lengths))
        return None

    def _decode(self, frames: list[Any]) -> Publication:
        if len(frames) > _MOST_FRAMES:
            raise FrameError(f"a publication has one frame or two, not {len(frames)}")
        head, large = frames[0], frames[1] if len(frames) == _MOST_FRAMES else None
        if self._views:
            head, large = head.bytes, None if large is None else large.buffer
        start = len(self._own_prefix) if head.startswith(self._own_prefix) else 0
        return decode_publication(memoryview(head) if self._views else head, start, large)

    def _welcome(self, welcome: Publication) -> None:
        """Begin the stream of a publisher, or continue it after a reconnection."""
        publisher, first = welcome.publisher, welcome.first_sequence
        stream = self.streams.get(publisher)
        again = stream is not None
        if stream is None:
            stream = self.streams[publisher] = PublisherStream(first)
        stream.acknowledged = None
        if not self.links.on_welcome(publisher):
            del self.streams[publisher]
            return
        link = self.links.by_id.get(publisher)
        if again and link is not None:
            self._record(welcome, link, stream)

    def on_early(self, publication: Publication, link: PublisherLink) -> None:
        """Take an early batch at once, so that no later one overtakes it."""
        stream = self.streams.get(publication.publisher)
        if stream is not None:
            for _ in self._take(publication, link, stream, self._queue.deliver) or ():
                pass  # never waits: above the queue's limit, messages are dropped

    def _take(
        self, publication: Publication, link: PublisherLink, stream: PublisherStream, deliver: Deliver
    ) -> MoreToRead | None:
        skip = self._record(publication, link, stream)
        rest = None
        if skip < len(publication.lengths):
            rest = self._deliver(publication, link, skip, deliver)
        if rest is not None:
            rest = self._in_turns(rest, publication, stream)
        elif publication.flags & FLAG_END:
            self._acknowledge(publication, stream)
        elif publication.flags & FLAG_WAIT:
            self._report_progress(publication, stream)
        elif publication.flags & FLAG_ANSWER:
            self._report_position(publication.publisher, stream)
        elif publication.kind == FrameKind.CUT:
            self._warnings.warn(
                publication.publisher,
                f"{link.peer} no longer waits for this subscriber",
                FlowError("it held up other subscribers for too long; the messages it loses are counted"),
            )
        return rest

    def _record(self, publication: Publication, link: PublisherLink, stream: PublisherStream) -> int:
        """Record a frame in the ledger, and return the number of duplicates at its beginning."""
        first = publication.first_sequence
        ledger = stream.ledger
        expected = ledger.expected
        lost, skip = ledger.take(
            first, len(publication.lengths), conflate=bool(publication.flags & FLAG_CONFLATE)
        )
        if lost:
            self._listener.on_loss(MessageInfo(link.peer.topic, link.peer, expected, None), lost)
        return skip

    def _deliver(
        self, publication: Publication, link: PublisherLink, skip: int, deliver: Deliver
    ) -> MoreToRead | None:
        origin = Origin(link.peer.topic, link.peer, publication.sent_ns)
        messages: list[Any] | None = None
        if self._plain:
            messages = publication.texts() if publication.text else publication.payloads()
        first = publication.first_sequence
        if messages is None:
            return self._deliver_decoding(publication, origin, skip, deliver)
        if skip:
            del messages[:skip]
        self.received += len(messages)
        sequences = range(first + skip, first + len(publication.lengths))
        return deliver(messages, sequences, origin)

    def _deliver_decoding(
        self, publication: Publication, origin: Origin, skip: int, deliver: Deliver
    ) -> MoreToRead | None:
        payloads = publication.payloads()
        first = publication.first_sequence

        def deliver_some(begin: int) -> MoreToRead | None:
            messages, sequences = self._decoded(
                payloads[begin : begin + _DECODED_AT_ONCE], first + begin, origin, text=publication.text
            )
            return deliver(messages, sequences, origin) if messages else None

        def deliver_all() -> MoreToRead:
            for begin in range(skip, len(payloads), _DECODED_AT_ONCE):
                yield from deliver_some(begin) or ()
                yield False

        return deliver_some(skip) if len(payloads) - skip <= _DECODED_AT_ONCE else deliver_all()

    def _decoded(
        self, payloads: list[Any], first: int, origin: Origin, *, text: bool
    ) -> tuple[list[Any], list[int]]:
        """Return the messages that decode, and their sequence numbers."""
        messages, sequences = [], []
        unpack = self._codec.unpack
        for sequence, payload in enumerate(payloads, first):
            try:
                messages.append(unpack(payload, text=text))
            except DecodeError as error:
                self._report_undecodable(error, as_info(origin, sequence))
            else:
                sequences.append(sequence)
        self.received += len(messages)
        return messages, sequences

    def _report_undecodable(self, error: DecodeError, info: MessageInfo) -> None:
        self.undecodable += 1
        what = f"a message on {info.topic} from {info.peer} does not decode"
        self._warnings.warn(what, what, error)
        count, _ = self._undecodable_by_publisher.get(info.peer.socket_id, (0, ""))
        self._undecodable_by_publisher[info.peer.socket_id] = count + 1, str(error)
        self._listener.on_undecodable(error, info)

    def _in_turns(self, rest: MoreToRead, publication: Publication, stream: PublisherStream) -> MoreToRead:
        for held in rest:
            if publication.flags & FLAG_WAIT:
                self._report_progress(publication, stream)
            yield held
        if publication.flags & FLAG_END:
            self._acknowledge(publication, stream)

    def _report_progress(self, publication: Publication, stream: PublisherStream) -> None:
        """Report progress to a publisher that applies backpressure, unless it was done just now."""
        if time.monotonic() - stream.acknowledged_at > _PROGRESS_PERIOD_S:
            self._send_ack(publication.publisher, stream, NO_SEGMENT)

    def _acknowledge(self, publication: Publication, stream: PublisherStream) -> None:
        stream.acknowledged = publication.segment
        self._send_ack(publication.publisher, stream, publication.segment)

    def _report_position(self, publisher: bytes, stream: PublisherStream) -> None:
        """Answer a publisher that asks for the position: everything before the question was delivered."""
        if stream.acknowledged is not None:
            self._send_ack(publisher, stream, stream.acknowledged)
        self._send_ack(publisher, stream, ALL_SUBSCRIBERS)

    def _send_ack(self, publisher: bytes, stream: PublisherStream, segment: int) -> None:
        stream.acknowledged_at = time.monotonic()
        ack = SegmentAck(publisher, self._subscriber_id, stream.ledger.expected, segment)
        self.links.send(encode_ack(ack))

    def expected_from(self, publisher: bytes) -> int:
        """Return the sequence number of the next message of a framed publisher."""
        stream = self.streams.get(publisher)
        return 0 if stream is None else stream.ledger.expected

    def on_gone(self, publisher: bytes) -> None:
        """Move the counters of a publisher that is not coming back to the sum."""
        stream = self.streams.pop(publisher, None)
        self._undecodable_by_publisher.pop(publisher, None)
        if stream is not None:
            self._past.add(stream.ledger)

    def on_connected(self, link: PublisherLink) -> None:
        """Report a connected publisher."""
        self._listener.on_connected(link.peer)

    def on_disconnected(self, link: PublisherLink, reason: str) -> None:
        """Report a publisher that is `"lost"` or `"withdrawn"`."""
        self._listener.on_disconnected(link.peer, reason)

    def on_unknown(self, count: int) -> None:
        """Count messages of an unknown publisher."""
        self.unknown += count

    def on_raw(self, link: PublisherLink, frames: list[Any]) -> None:
        """Take a message of a plain publisher."""
        if self._views:
            frames = [frame.bytes for frame in frames]
        origin = Origin(link.peer.topic or self._topic, link.peer, None)
        message: Any
        if len(frames) > 1 and self._plain:
            message = tuple(frames)
        else:
            try:
                message = self._codec.unpack(frames[-1], text=False)
            except DecodeError as error:
                self._report_undecodable(error, as_info(origin, None))
                return
        self.received += 1
        self._queue.deliver([message], repeat(None), origin)

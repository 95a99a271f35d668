"""What arrives at a subscriber: frames become messages, and what is missing is counted."""

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
    ALL_READERS,
    FLAG_ANSWER,
    FLAG_CONFLATE,
    FLAG_END,
    FLAG_WAIT,
    NO_SEGMENT,
    READER_PREFIX,
    Publication,
    SegmentAck,
    decode_publication,
    encode_ack,
)
from colugo.protocol.pubsub.sequence_ledger import SequenceLedger

_MOST_FRAMES = 2
_SAY_EVERY_S = 0.02
"""How often a publisher that waits hears at most that a reader is getting on; `stall_ms` may be short."""
_DECODED_AT_ONCE = 64


Hand = Callable[[list[Any], Sequences, Origin], MoreToRead | None]


class PublisherStream:
    """One publisher's stream at this reader.

    Attributes:
        ledger: what has come and what is lost.
        handled: the segment that was acknowledged last; None if none was.
        said_at: when something was said to the publisher last, seconds of `time.monotonic`.
    """

    __slots__ = ("handled", "ledger", "said_at")

    def __init__(self, first: int) -> None:
        self.ledger = SequenceLedger(first)
        self.handled: int | None = None
        self.said_at = 0.0


class ReceiverListener(Protocol):
    """The subscriber's reaction to what its receiver finds out."""

    def on_connected(self, peer: Advertisement) -> None:
        """Take note of a connected publisher."""

    def on_disconnected(self, peer: Advertisement, reason: str) -> None:
        """Take note of a publisher that is `"lost"` or `"withdrawn"`."""

    def on_loss(self, info: MessageInfo, count: int) -> None:
        """Report lost messages: how many, and what is known of the first."""

    def on_undecodable(self, error: DecodeError, info: MessageInfo) -> None:
        """Report a message that does not decode."""


class Receiver:
    """Everything that one subscriber receives.

    Args:
        runtime: the node's.
        topic: a topic or pattern.
        given: endpoints of plain publishers.
        codec: decodes the messages.
        delivery: gets them.
        listener: the subscriber.
        views: whether messages are handed out as memoryviews.
    """

    def __init__(
        self,
        runtime: Runtime,
        topic: str,
        given: list[str],
        codec: Codec,
        delivery: CallbackQueue,
        *,
        listener: ReceiverListener,
        views: bool,
    ) -> None:
        self._topic = topic
        self._codec = codec
        self._plain = codec is PLAIN
        self._views = views
        self._delivery = delivery
        self._listener = listener
        self._hand_on: Hand = partial(delivery.hand_in_turns, wait=False)
        self._hand_and_wait: Hand = partial(delivery.hand_in_turns, wait=True)
        self._reader_id = os.urandom(ID_BYTES)
        self._own_prefix = READER_PREFIX + self._reader_id
        self._complaints = ThrottledWarnings(runtime)
        self.streams: dict[bytes, PublisherStream] = {}
        """The streams of our publishers, by their ids."""
        self.past = SequenceLedger(0)
        """The sum of the streams of publishers that are gone."""
        self._refused: dict[bytes, tuple[int, str]] = {}
        self.received = self.undecodable = self.malformed = self.unknown = 0
        self.links = PublisherLinks(runtime, topic, self._reader_id, given, self, copy=not views)

    def resume(self) -> None:
        """There is room again for what has waited."""
        self.links.resume()

    @property
    def codec(self) -> str:
        """The codec's name."""
        return self._codec.name

    @property
    def reader_id(self) -> bytes:
        """The subscriber's id, by which publishers know it."""
        return self._reader_id

    def describe_links(self) -> list[LinkDescription]:
        """What the node says of its connections."""
        return [self._describe(link) for link in self.links.all]

    def _describe(self, link: PublisherLink) -> LinkDescription:
        description = link.describe()
        stream = self.streams.get(link.peer.socket_id)
        if stream is not None:
            description.received = stream.ledger.received
            description.lost = stream.ledger.lost
            description.conflated = stream.ledger.conflated
            description.duplicates = stream.ledger.duplicates
        description.undecodable, description.last_error = self._refused.get(link.peer.socket_id, (0, ""))
        return description

    def on_frames(self, frames: list[Any]) -> MoreToRead | None:
        """Take a message of a framed publisher; may return the rest of the work."""
        try:
            publication = self._decode(frames)
        except FrameError as error:
            self.malformed += 1
            self._complaints.warn("malformed", f"a frame on {self._topic} is malformed", error)
            return None
        if publication.kind == FrameKind.WELCOME:
            self._welcomed(publication)
            return None
        publisher = publication.publisher
        link = self.links.by_id.get(publisher)
        stream = self.streams.get(publisher)
        if link is not None and stream is not None:
            wait = bool(publication.flags & FLAG_WAIT)
            return self._take(publication, link, stream, self._hand_and_wait if wait else self._hand_on)
        if not self.links.keep_early(publication):
            self.on_unknown(len(publication.lengths))
        return None

    def _decode(self, frames: list[Any]) -> Publication:
        if len(frames) > _MOST_FRAMES:
            raise FrameError(f"a publication is one frame or two, not {len(frames)}")
        head, large = frames[0], frames[1] if len(frames) == _MOST_FRAMES else None
        if self._views:
            head, large = head.bytes, None if large is None else large.buffer
        start = len(self._own_prefix) if head.startswith(self._own_prefix) else 0
        return decode_publication(memoryview(head) if self._views else head, start, large)

    def _welcomed(self, welcome: Publication) -> None:
        """A publisher has let this reader in, for the first time or again."""
        publisher, first = welcome.publisher, welcome.first_sequence
        stream = self.streams.get(publisher)
        again = stream is not None
        if stream is None:
            stream = self.streams[publisher] = PublisherStream(first)
        stream.handled = None
        if not self.links.on_welcome(publisher):
            del self.streams[publisher]
            return
        link = self.links.by_id.get(publisher)
        if again and link is not None:
            self._enter(welcome, link, stream)

    def on_early(self, publication: Publication, link: PublisherLink) -> None:
        """Take what came before its advertisement, all at once: what comes next must not overtake it."""
        stream = self.streams.get(publication.publisher)
        if stream is not None:
            for _ in self._take(publication, link, stream, self._delivery.hand) or ():
                pass  # it does not hold: what is over the queue's limit is dropped

    def _take(
        self, publication: Publication, link: PublisherLink, stream: PublisherStream, hand: Hand
    ) -> MoreToRead | None:
        skip = self._enter(publication, link, stream)
        rest = None
        if skip < len(publication.lengths):
            rest = self._hand(publication, link, skip, hand)
        if rest is not None:
            rest = self._in_turns(rest, publication, stream)
        elif publication.flags & FLAG_END:
            self._ack(publication, stream)
        elif publication.flags & FLAG_WAIT:
            self._get_on(publication, stream)
        elif publication.flags & FLAG_ANSWER:
            self._answer(publication.publisher, stream)
        elif publication.kind == FrameKind.CUT:
            self._complaints.warn(
                publication.publisher,
                f"{link.peer} goes on without this reader",
                FlowError("it held up the others for too long; what it loses is counted"),
            )
        return rest

    def _enter(self, publication: Publication, link: PublisherLink, stream: PublisherStream) -> int:
        """Enter a frame into the ledger; how many of its messages are known already."""
        first = publication.first_sequence
        ledger = stream.ledger
        expected = ledger.expected
        lost, skip = ledger.take(
            first, len(publication.lengths), conflate=bool(publication.flags & FLAG_CONFLATE)
        )
        if lost:
            self._listener.on_loss(MessageInfo(link.peer.topic, link.peer, expected, None), lost)
        return skip

    def _hand(
        self, publication: Publication, link: PublisherLink, skip: int, hand: Hand
    ) -> MoreToRead | None:
        origin = Origin(link.peer.topic, link.peer, publication.sent_ns)
        messages: list[Any] | None = None
        if self._plain:
            messages = publication.texts() if publication.text else publication.payloads()
        first = publication.first_sequence
        if messages is None:
            return self._hand_decoding(publication, origin, skip, hand)
        if skip:
            del messages[:skip]
        self.received += len(messages)
        sequences = range(first + skip, first + len(publication.lengths))
        return hand(messages, sequences, origin)

    def _hand_decoding(
        self, publication: Publication, origin: Origin, skip: int, hand: Hand
    ) -> MoreToRead | None:
        payloads = publication.payloads()
        first = publication.first_sequence

        def hand_some(begin: int) -> MoreToRead | None:
            messages, sequences = self._decoded(
                payloads[begin : begin + _DECODED_AT_ONCE], first + begin, origin, text=publication.text
            )
            return hand(messages, sequences, origin) if messages else None

        def hand_all() -> MoreToRead:
            for begin in range(skip, len(payloads), _DECODED_AT_ONCE):
                yield from hand_some(begin) or ()
                yield False

        return hand_some(skip) if len(payloads) - skip <= _DECODED_AT_ONCE else hand_all()

    def _decoded(
        self, payloads: list[Any], first: int, origin: Origin, *, text: bool
    ) -> tuple[list[Any], list[int]]:
        """Those that decode, and their numbers."""
        messages, sequences = [], []
        unpack = self._codec.unpack
        for sequence, payload in enumerate(payloads, first):
            try:
                messages.append(unpack(payload, text=text))
            except DecodeError as error:
                self._refuse(error, as_info(origin, sequence))
            else:
                sequences.append(sequence)
        self.received += len(messages)
        return messages, sequences

    def _refuse(self, error: DecodeError, info: MessageInfo) -> None:
        self.undecodable += 1
        what = f"a message on {info.topic} from {info.peer} does not decode"
        self._complaints.warn(what, what, error)
        count, _ = self._refused.get(info.peer.socket_id, (0, ""))
        self._refused[info.peer.socket_id] = count + 1, str(error)
        self._listener.on_undecodable(error, info)

    def _in_turns(self, rest: MoreToRead, publication: Publication, stream: PublisherStream) -> MoreToRead:
        for held in rest:
            if publication.flags & FLAG_WAIT:
                self._get_on(publication, stream)
            yield held
        if publication.flags & FLAG_END:
            self._ack(publication, stream)

    def _get_on(self, publication: Publication, stream: PublisherStream) -> None:
        """Tell a publisher that waits, now and then, that this reader is not stuck."""
        if time.monotonic() - stream.said_at > _SAY_EVERY_S:
            self._say(publication.publisher, stream, NO_SEGMENT)

    def _ack(self, publication: Publication, stream: PublisherStream) -> None:
        stream.handled = publication.segment
        self._say(publication.publisher, stream, publication.segment)

    def _answer(self, publisher: bytes, stream: PublisherStream) -> None:
        """It asks how far this reader is: everything before the question has been handled."""
        if stream.handled is not None:
            self._say(publisher, stream, stream.handled)
        self._say(publisher, stream, ALL_READERS)

    def _say(self, publisher: bytes, stream: PublisherStream, segment: int) -> None:
        stream.said_at = time.monotonic()
        self.links.send(encode_ack(SegmentAck(publisher, self._reader_id, stream.ledger.expected, segment)))

    def expected_from(self, publisher: bytes) -> int:
        """Return the sequence number of the next message of a framed publisher."""
        stream = self.streams.get(publisher)
        return 0 if stream is None else stream.ledger.expected

    def on_gone(self, publisher: bytes) -> None:
        """A publisher is not coming back: what was counted goes into the sum."""
        stream = self.streams.pop(publisher, None)
        self._refused.pop(publisher, None)
        if stream is not None:
            self.past.add(stream.ledger)

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
                self._refuse(error, as_info(origin, None))
                return
        self.received += 1
        self._delivery.hand([message], repeat(None), origin)

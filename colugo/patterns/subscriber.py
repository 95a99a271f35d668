"""The receiving side of publish/subscribe."""

import os
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from typing import Any, Self

from colugo.errors import ConfigurationError, DecodeError, FrameError
from colugo.net.runtime import Runtime
from colugo.patterns.base import Complaints, Part, as_endpoints, check_count
from colugo.patterns.callbacks import Handler, optional_handler
from colugo.patterns.gate import Gate
from colugo.patterns.inbox import Inbox
from colugo.patterns.links import Link
from colugo.patterns.publisher_links import PublisherLinks
from colugo.protocol.advertisement import Advertisement
from colugo.protocol.codecs import PLAIN, resolve_codec
from colugo.protocol.frames import ID_BYTES, READER_PREFIX, Publication, decode_publication
from colugo.protocol.frames import Kind as FrameKind
from colugo.protocol.topics import check_topic, is_pattern

DEFAULT_QUEUE = 1000


@dataclass(frozen=True, slots=True)
class MessageInfo:
    """What is known of a message besides itself.

    Attributes:
        topic: the topic it was published on.
        peer: the publisher's advertisement; of a plain ZeroMQ publisher only `node`, its endpoint.
        sequence: its number at the publisher, from 0 on; None if there is none.
        sent_ns: when it was sent, nanoseconds since 1970 by the sender's clock; None if unknown.
    """

    topic: str
    peer: Advertisement
    sequence: int | None = None
    sent_ns: int | None = None


@dataclass(frozen=True, slots=True)
class SubscriberStats:
    """What a subscriber has seen.

    Attributes:
        received: messages handed to the callback or the queue.
        dropped: of those, how many the full queue has dropped (the oldest go first).
        undecodable: messages that did not fit the codec.
        malformed: frames that were not of the wire format.
        unknown: messages of publishers that are not (or no more) known.
        publishers: publishers that are connected now.
    """

    received: int
    dropped: int
    undecodable: int
    malformed: int
    unknown: int
    publishers: int


class Subscriber(Part):
    """Receives the messages of a topic, or of all topics of a pattern; made by `Node.add_subscriber`.

    With a callback, messages go there; without, iterate: `async for message in subscriber`.
    """

    def __init__(
        self,
        runtime: Runtime,
        topic: str,
        callback: Callable[..., Any] | None = None,
        on_connect: Callable[..., Any] | None = None,
        *,
        codec: Any = None,
        on_disconnect: Callable[..., Any] | None = None,
        on_error: Callable[..., Any] | None = None,
        queue: int = DEFAULT_QUEUE,
        connect: Iterable[str] = (),
    ) -> None:
        check_count("queue", queue)
        self.topic = topic if is_pattern(topic) else check_topic(topic)
        super().__init__(runtime)
        self._codec = resolve_codec(codec)
        reader_id = os.urandom(ID_BYTES)
        self._own_prefix = READER_PREFIX + reader_id
        self._handler = (
            None if callback is None else Handler(runtime, callback, f"callback of {topic}", least=1, most=2)
        )
        self._on_connect = optional_handler(runtime, on_connect, f"on_connect of {topic}", most=1)
        self._on_disconnect = optional_handler(runtime, on_disconnect, f"on_disconnect of {topic}", most=2)
        self._on_error = optional_handler(runtime, on_error, f"on_error of {topic}", most=2)
        self._inbox = Inbox(queue) if self._handler is None or self._handler.is_coroutine else None
        self._links = PublisherLinks(
            runtime,
            topic,
            reader_id,
            as_endpoints(connect),
            on_frames=self._on_frames,
            on_raw=self._on_raw,
            on_early=self._on_publication,
            on_unknown=self._count_unknown,
            on_connected=self._connected,
            on_disconnected=self._disconnected,
        )
        self._gate = Gate(f"the subscriber of {topic}")
        self._complaints = Complaints(runtime)
        self._received = self._undecodable = self._malformed = self._unknown = 0
        runtime.when_open(self._open)

    @property
    def publishers(self) -> list[Advertisement]:
        """The publishers that are connected now."""
        return self._links.connected

    @property
    def stats(self) -> SubscriberStats:
        """Counters so far."""
        return SubscriberStats(
            received=self._received,
            dropped=self._inbox.dropped if self._inbox else 0,
            undecodable=self._undecodable,
            malformed=self._malformed,
            unknown=self._unknown,
            publishers=self._gate.count,
        )

    async def ready(self, n: int = 1) -> None:
        """Return when n publishers are connected and send what they publish from then on.

        Args:
            n: how many.

        Raises:
            ClosedError: if the node stops meanwhile.
            LifecycleError: on another thread than the node's; there, use `node.run(…)`.
        """
        self._check_thread()
        await self._gate.wait(n)

    def __aiter__(self) -> Self:
        self._check_iterable()
        return self

    async def __anext__(self) -> Any:
        message, _ = await self._next()
        return message

    async def with_info(self) -> AsyncIterator[tuple[Any, MessageInfo]]:
        """Iterate over pairs of message and `MessageInfo`."""
        self._check_iterable()
        while True:
            try:
                item = await self._next()
            except StopAsyncIteration:
                return
            yield item

    def _shut(self) -> None:
        """Leave all publishers; iteration ends after what waits already."""
        self._links.close()
        self._gate.close()
        if self._inbox is not None:
            self._inbox.close()

    def _check_iterable(self) -> None:
        if self._handler is not None:
            raise ConfigurationError(
                f"the subscriber of {self.topic} has a callback; leave it out to iterate"
            )

    async def _next(self) -> tuple[Any, MessageInfo]:
        if self._inbox is None:
            raise StopAsyncIteration
        self._check_thread()
        item: tuple[Any, MessageInfo] = await self._inbox.get()
        return item

    def _open(self) -> None:
        if self._closed:
            return
        if self._handler is not None and self._inbox is not None:
            self._runtime.spawn(self._work(self._handler, self._inbox), f"subscriber of {self.topic}")
        self._links.open()

    async def _work(self, handler: Handler, inbox: Inbox) -> None:
        """Run a coroutine callback, one message after another."""
        while True:
            try:
                message, info = await inbox.get()
            except StopAsyncIteration:
                return
            await handler.run_to_end(message, info)

    def _connected(self, link: Link) -> None:
        self._gate.set(self._gate.count + 1)
        if self._on_connect is not None:
            self._on_connect.run(link.peer)

    def _disconnected(self, link: Link, reason: str) -> None:
        self._gate.set(self._gate.count - 1)
        if self._on_disconnect is not None:
            self._on_disconnect.run(link.peer, reason)

    def _on_frames(self, frames: list[bytes]) -> None:
        frame = b"".join(frames)  # ours is always one; of several, the decoder says what is wrong
        try:
            publication = decode_publication(
                frame, len(self._own_prefix) if frame.startswith(self._own_prefix) else 0
            )
        except FrameError as error:
            self._malformed += 1
            self._complaints.warn("malformed", f"a frame on {self.topic} is malformed", error)
            return
        if publication.kind == FrameKind.WELCOME:
            self._links.welcomed(publication.publisher)
            return
        link = self._links.by_id.get(publication.publisher)
        if link is not None:
            self._on_publication(publication, link)
        elif not self._links.keep_early(publication):
            self._count_unknown(len(publication.payloads))

    def _count_unknown(self, count: int) -> None:
        self._unknown += count

    def _on_publication(self, publication: Publication, link: Link) -> None:
        for number, payload in enumerate(publication.payloads, publication.first_sequence):
            if self._closed:  # by a callback
                return
            info = MessageInfo(link.peer.topic, link.peer, number, publication.sent_ns)
            self._deliver(payload, info, text=publication.text)

    def _on_raw(self, link: Link, frames: list[bytes]) -> None:
        info = MessageInfo(link.peer.topic or self.topic, link.peer)
        if len(frames) > 1 and self._codec is PLAIN:
            self._hand_over(tuple(frames), info)
        else:
            self._deliver(frames[-1], info, text=False)

    def _deliver(self, payload: bytes, info: MessageInfo, *, text: bool) -> None:
        try:
            message = self._codec.unpack(payload, text=text)
        except DecodeError as error:
            self._undecodable += 1
            what = f"a message on {info.topic} from {info.peer} does not decode"
            self._complaints.warn(what, what, error)
            if self._on_error is not None:
                self._on_error.run(error, info)
            return
        self._hand_over(message, info)

    def _hand_over(self, message: Any, info: MessageInfo) -> None:
        self._received += 1
        if self._inbox is not None:
            self._inbox.put((message, info))
        elif self._handler is not None:
            self._handler.run(message, info)

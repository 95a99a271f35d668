"""The receiving side of publish/subscribe."""

import os
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from typing import Any, Self

from colugo.errors import ConfigurationError, DecodeError, FrameError
from colugo.net.addresses import choose_endpoint
from colugo.net.connector import Connector
from colugo.net.directory import Change
from colugo.net.registry import Watch
from colugo.net.runtime import Runtime
from colugo.patterns.base import Complaints, as_endpoints, check_count
from colugo.patterns.callbacks import Handler, optional_handler
from colugo.patterns.gate import Gate
from colugo.patterns.inbox import Inbox
from colugo.patterns.links import Link, doubt_if_silent, leave_later, plain_peer
from colugo.protocol.advertisement import Advertisement, Framing, Kind
from colugo.protocol.codecs import PLAIN, resolve_codec
from colugo.protocol.frames import ID_BYTES, READER_PREFIX, Publication, decode_publication
from colugo.protocol.frames import Kind as FrameKind
from colugo.protocol.topics import check_topic, is_pattern

DEFAULT_QUEUE = 1000
_MAX_EARLY = 256


@dataclass(frozen=True, slots=True)
class MessageInfo:
    """What is known of a message besides itself.

    Attributes:
        topic: the topic it was published on.
        peer: the publisher's advertisement; None for plain ZeroMQ publishers, which do not say.
        sequence: its number at the publisher, from 0 on; None if there is none.
        sent_ns: when it was sent, nanoseconds since 1970 by the sender's clock; None if unknown.
    """

    topic: str
    peer: Advertisement | None
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


class Subscriber:
    """Receives the messages of a topic, or of all topics of a pattern; made by `Node.add_subscriber`.

    With a callback, messages go there; without, iterate: `async for message in subscriber`.
    """

    def __init__(  # noqa: PLR0913 - keyword-only options
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
        self._runtime = runtime
        self._codec = resolve_codec(codec)
        self._id = os.urandom(ID_BYTES)
        self._handler = (
            None if callback is None else Handler(runtime, callback, f"callback of {topic}", least=1, most=2)
        )
        self._on_connect = optional_handler(runtime, on_connect, f"on_connect of {topic}", most=1)
        self._on_disconnect = optional_handler(runtime, on_disconnect, f"on_disconnect of {topic}", most=2)
        self._on_error = optional_handler(runtime, on_error, f"on_error of {topic}", most=2)
        self._inbox = Inbox(queue) if self._handler is None or self._handler.is_coroutine else None
        self._given = [(plain_peer(endpoint, Kind.PUBLISHER), endpoint) for endpoint in as_endpoints(connect)]
        self._watch = Watch(Kind.PUBLISHER, topic, self._on_change)
        self._links: dict[str, Link] = {}
        self._by_id: dict[bytes, Link] = {}
        self._early: set[bytes] = set()
        self._framed: Connector | None = None
        self._raw: Connector | None = None
        self._gate = Gate(f"the subscriber of {topic}")
        self._complaints = Complaints(runtime)
        self._received = self._undecodable = self._malformed = self._unknown = 0
        self._closed = False
        runtime.when_open(self._open)

    @property
    def publishers(self) -> list[Advertisement]:
        """The publishers that are connected now."""
        return [link.peer for link in self._links.values() if link.connected]

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
        """
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

    def close(self) -> None:
        """Leave all publishers; iteration ends after what waits already."""
        if self._closed:
            return
        self._closed = True
        self._runtime.registry.unwatch(self._watch)
        for link in self._links.values():
            link.cancel_timer()
        for connector in (self._framed, self._raw):
            if connector is not None:
                connector.close()
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
        item: tuple[Any, MessageInfo] = await self._inbox.get()
        return item

    def _open(self) -> None:
        if self._closed:
            return
        if self._handler is not None and self._inbox is not None:
            self._runtime.spawn(self._work(self._handler, self._inbox), f"subscriber of {self.topic}")
        for peer, endpoint in self._given:
            self._add(Link(peer, endpoint))
        self._runtime.watch(self._watch)

    async def _work(self, handler: Handler, inbox: Inbox) -> None:
        """Run a coroutine callback, one message after another."""
        while True:
            try:
                message, info = await inbox.get()
            except StopAsyncIteration:
                return
            await handler.run_to_end(message, info)

    # --- connections

    def _on_change(self, change: Change, peer: Advertisement) -> None:
        if change is Change.UP:
            endpoint = choose_endpoint(peer, self._runtime.scope)
            if endpoint is not None:
                self._found(Link(peer, endpoint))
            return
        link = self._by_id.get(peer.socket_id)
        if link is not None and link.connected:
            leave_later(link, self._drop)
        elif link is not None:
            self._drop(link)

    def _found(self, link: Link) -> None:
        before = self._by_id.get(link.peer.socket_id)
        if before is not None and before.endpoint == link.endpoint:
            before.peer = link.peer
            before.leaving = False
            return
        for old in (before, self._links.get(link.endpoint)):
            if old is not None:
                self._drop(old)
        self._add(link)

    def _add(self, link: Link) -> None:
        self._links[link.endpoint] = link
        connector = self._connector(link.peer.framing)
        if link.peer.framing is Framing.COLUGO:
            self._by_id[link.peer.socket_id] = link
            doubt_if_silent(self._runtime, link)
        connector.connect(link.endpoint)
        if link.peer.socket_id in self._early:
            self._early.discard(link.peer.socket_id)
            self._connected(link)

    def _drop(self, link: Link) -> None:
        link.cancel_timer()
        if self._links.get(link.endpoint) is not link:
            return
        self._connector(link.peer.framing).disconnect(link.endpoint)
        del self._links[link.endpoint]
        self._by_id.pop(link.peer.socket_id, None)
        if link.connected:
            self._disconnected(link, "withdrawn")

    def _connector(self, framing: Framing) -> Connector:
        if framing is Framing.RAW:
            if self._raw is None:
                self._raw = self._make_connector(self._on_raw, self._raw_connected)
                self._raw.socket.send(b"\x01")
            return self._raw
        if self._framed is None:
            self._framed = self._make_connector(self._on_frames, lambda endpoint: None)
            self._framed.socket.send(b"\x01" + READER_PREFIX + self._id)
        return self._framed

    def _make_connector(
        self, on_message: Callable[[list[bytes]], None], on_connected: Callable[[str], None]
    ) -> Connector:
        sockets = self._runtime.sockets
        return Connector(
            self._runtime.loop,
            sockets,
            sockets.xsub(),
            on_message=on_message,
            on_connected=on_connected,
            on_lost=self._lost,
        )

    def _raw_connected(self, endpoint: str) -> None:
        link = self._links.get(endpoint)
        if link is not None:
            self._connected(link)

    def _connected(self, link: Link) -> None:
        if link.connected:
            return
        link.connected = True
        link.cancel_timer()
        self._gate.set(self._gate.count + 1)
        if self._on_connect is not None:
            self._on_connect.run(link.peer)

    def _lost(self, endpoint: str) -> None:
        link = self._links.get(endpoint)
        if link is None:
            return
        if link.leaving:
            self._drop(link)
            return
        if link.connected:
            self._disconnected(link, "lost")
        if link.peer.framing is Framing.COLUGO:
            self._runtime.suspect(link.peer)
            doubt_if_silent(self._runtime, link)

    def _disconnected(self, link: Link, reason: str) -> None:
        link.connected = False
        self._gate.set(self._gate.count - 1)
        if self._on_disconnect is not None:
            self._on_disconnect.run(link.peer, reason)

    # --- messages

    def _on_frames(self, frames: list[bytes]) -> None:
        frame = frames[0]
        start = 0
        if frame.startswith(READER_PREFIX):
            start = len(READER_PREFIX) + ID_BYTES
        try:
            if len(frames) != 1 or frame[1:start] != (self._id if start else b""):
                raise FrameError(f"{len(frames)} frames, or a frame for another reader")
            publication = decode_publication(frame, start)
        except FrameError as error:
            self._malformed += 1
            self._complaints.warn("malformed", f"a frame on {self.topic} is malformed", error)
            return
        link = self._by_id.get(publication.publisher)
        if publication.kind == FrameKind.WELCOME:
            self._welcomed(publication, link)
        elif link is None:
            self._unknown += len(publication.payloads)
        else:
            self._on_publication(publication, link)

    def _welcomed(self, publication: Publication, link: Link | None) -> None:
        if link is not None:
            self._connected(link)
        elif len(self._early) < _MAX_EARLY:
            self._early.add(publication.publisher)  # restarted on its port: its advertisement comes soon

    def _on_publication(self, publication: Publication, link: Link) -> None:
        for number, payload in enumerate(publication.payloads, publication.first_sequence):
            info = MessageInfo(link.peer.topic, link.peer, number, publication.sent_ns)
            self._deliver(payload, info, text=publication.text)

    def _on_raw(self, frames: list[bytes]) -> None:
        links = [link for link in self._links.values() if link.peer.framing is Framing.RAW]
        peer = links[0].peer if len(links) == 1 else None
        info = MessageInfo(peer.topic if peer and peer.topic else self.topic, peer)
        if len(frames) > 1 and self._codec is PLAIN:
            self._hand_over(tuple(frames), info)
        else:
            self._deliver(frames[-1], info, text=False)

    def _deliver(self, payload: bytes, info: MessageInfo, *, text: bool) -> None:
        try:
            message = self._codec.unpack(payload, text=text)
        except DecodeError as error:
            self._undecodable += 1
            sender = info.peer or "a plain ZeroMQ peer"
            self._complaints.warn(
                (info.topic, str(sender)), f"a message on {info.topic} from {sender} does not decode", error
            )
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

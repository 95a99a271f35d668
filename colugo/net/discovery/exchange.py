"""The links over which nodes exchange what they know, and the beat that keeps them alive."""

import asyncio
import errno
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from colugo.net.discovery.peer_link import Find, PeerLink
from colugo.net.runtime import Runtime
from colugo.net.transport.tasks import Tasks
from colugo.protocol.frames import FrameKind
from colugo.protocol.membership.control import decode_body, encode_control
from colugo.protocol.membership.entries import Greeting, NodeEntries, Refusal
from colugo.protocol.membership.membership import Membership

_FAREWELL_S = 0.1
TICK_S = 1.0
SILENT_S = 3.5
"""A link over which nothing has come for so long, not even ticks, is down."""
MAX_INCOMING = 1024
_LATE_S = 2.5

_NOTHING = NodeEntries()


@dataclass(slots=True)
class _Incoming:
    """A link that another node has made.

    Attributes:
        node: its id.
        heard_at: when something last came.
    """

    node: str
    heard_at: float


class Exchange:
    """All links of one node, those that it makes and those that come to its endpoint.

    Args:
        runtime: the node's.
        membership: what it knows.
        on_links: called when a link has come up or has ended, with the id of the node if that is not there
            any more.
    """

    def __init__(
        self, runtime: Runtime, membership: Membership, on_links: Callable[[str | None], None]
    ) -> None:
        self._runtime = runtime
        self._endpoint = runtime.endpoint
        self._membership = membership
        self._on_links = on_links
        self._loop = asyncio.get_running_loop()
        self._tasks = Tasks(f"{runtime.name} exchange", runtime.logger)
        self._greeting = Greeting(runtime.uuid.hex, runtime.name, runtime.realm)
        self._incoming: dict[bytes, _Incoming] = {}
        self._outgoing: dict[PeerLink, None] = {}
        self._ticker: asyncio.Task[None] | None = None
        self._flushing = False
        self._closed = False
        self._endpoint.route(FrameKind.GREETING, self._greeted)
        self._endpoint.route(FrameKind.ENTRIES, self._received)

    def linked_nodes(self) -> set[str]:
        """The ids of the nodes at the other ends."""
        return {node for _, node in self._up()}

    def link(self, label: str, find: Find, *, level: int = logging.WARNING) -> PeerLink:
        """Make a link, and keep it up.

        Args:
            label: the peer, for the log.
            find: gives the endpoints to try.
            level: of what is logged when it does not work.
        """
        link = PeerLink(
            self._runtime.sockets,
            label,
            self._greeting,
            find,
            on_up=self._came_up,
            on_entries=self._heard,
            on_down=self._went_down,
            logger=self._runtime.logger,
            level=level,
            tasks=self._tasks,
        )
        self._outgoing[link] = None
        self._tick_on()
        return link

    def unlink(self, link: PeerLink) -> None:
        """End a link that was made here."""
        self._outgoing.pop(link, None)
        self._membership.close_link(link)
        link.close()

    def flush(self) -> None:
        """Send what is urgent, when this turn of the loop is over."""
        if not self._flushing and not self._closed and (self._incoming or self._outgoing):
            self._flushing = True
            self._loop.call_soon(self._flush)

    async def close(self) -> None:
        """Send what is left, and end all links that were made here."""
        if self._ticker is not None:
            self._ticker.cancel()
        told = bool(self._incoming or self._outgoing)
        self._flush()
        self._closed = True
        for link in self._outgoing:
            link.close()
        self._outgoing.clear()
        self._incoming.clear()
        await self._tasks.cancel()
        if told:  # it takes a link or two until all know that it goes, and that nobody is lost
            await asyncio.sleep(_FAREWELL_S)

    def _up(self) -> Iterator[tuple[PeerLink | bytes, str]]:
        for link in list(self._outgoing):
            if link.node is not None:
                yield link, link.node
        for identity, incoming in list(self._incoming.items()):
            yield identity, incoming.node

    def _flush(self, *, tick: bool = False) -> None:
        self._flushing = False
        if self._closed:
            return
        self._membership.urgent = False
        now = self._loop.time()
        for link, _ in self._up():
            message = self._membership.outgoing(link, now) or (_NOTHING if tick else None)
            while message is not None and self._send(link, message):
                message = self._membership.outgoing(link, now)

    def _send(self, link: PeerLink | bytes, message: NodeEntries) -> bool:
        if isinstance(link, PeerLink):
            failed = 0 if link.send(message) else errno.EAGAIN
        else:
            failed = self._endpoint.send(link, encode_control(FrameKind.ENTRIES, message))
        if failed == errno.EHOSTUNREACH and isinstance(link, bytes):
            self._ended(link)
        elif failed and message is not _NOTHING:
            self._membership.restart_link(link)  # with the next tick
        return not failed

    # --- ticks

    def _tick_on(self) -> None:
        if self._ticker is None or self._ticker.done():
            self._ticker = self._tasks.spawn(self._tick(), "ticks")

    async def _tick(self) -> None:
        """As long as there are links."""
        before = self._loop.time()
        while self._outgoing or self._incoming or self._membership.size > 1:
            await asyncio.sleep(TICK_S)
            now = self._loop.time()
            self._membership.tick(now)
            if now - before < _LATE_S:  # else others may have been heard, but not read yet
                self._drop_silent(now)
            before = now
            self._flush(tick=True)

    def _drop_silent(self, now: float) -> None:
        for link in list(self._outgoing):
            if link.up and now - link.heard_at > SILENT_S:
                link.drop()
        for identity, incoming in list(self._incoming.items()):
            if now - incoming.heard_at > SILENT_S:
                self._ended(identity)

    # --- links that were made here

    def _came_up(self, link: PeerLink) -> None:
        self._membership.close_link(link)  # greeted anew: it may be another node now
        self._membership.open_link(link, self._loop.time())
        self._on_links(None)
        self.flush()

    def _heard(self, link: PeerLink, message: NodeEntries) -> None:
        self._take(link, message)

    def _went_down(self, link: PeerLink) -> None:
        self._membership.close_link(link)
        self._loop.call_soon(self._on_links, link.node)  # when the link says so, too

    # --- links that others have made

    def _greeted(self, identity: bytes, body: bytes) -> None:
        greeting = decode_body(body, Greeting)
        if self._closed:
            return
        known = self._incoming.get(identity)
        reason = ""
        if greeting.realm != self._greeting.realm:
            reason = f"its realm is {self._greeting.realm!r}, not {greeting.realm[:100]!r}"
            self._endpoint.complain(
                f"realm {greeting.node}",
                f"node {greeting.name!r} of realm {greeting.realm!r} has this one as its peer, which is of "
                f"realm {self._greeting.realm!r}: refused",
            )
        elif known is None and len(self._incoming) >= MAX_INCOMING:
            reason = f"it has {MAX_INCOMING} links already"
        if reason:
            self._endpoint.send(identity, encode_control(FrameKind.REFUSAL, Refusal(reason)))
            return
        if self._endpoint.send(identity, encode_control(FrameKind.GREETING, self._greeting)):
            return
        if greeting.node == self._greeting.node:
            return
        if known is not None:
            self._membership.close_link(identity)
        self._incoming[identity] = _Incoming(greeting.node, self._loop.time())
        self._membership.open_link(identity, self._loop.time())
        self._tick_on()
        self._on_links(None)
        self.flush()

    def _received(self, identity: bytes, body: bytes) -> None:
        incoming = self._incoming.get(identity)
        if incoming is None:
            again = Refusal("there is no link to you", again=True)
            self._endpoint.send(identity, encode_control(FrameKind.REFUSAL, again))
            return
        message = decode_body(body, NodeEntries)
        incoming.heard_at = self._loop.time()
        self._take(identity, message)

    def _ended(self, identity: bytes) -> None:
        incoming = self._incoming.pop(identity, None)
        if incoming is not None:
            self._membership.close_link(identity)
            self._on_links(incoming.node)

    def _take(self, link: PeerLink | bytes, message: NodeEntries) -> None:
        self._membership.receive(link, message, self._loop.time())
        if self._membership.urgent:
            self.flush()

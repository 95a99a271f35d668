"""The links over which nodes exchange advertisements, and the ticks that keep them alive."""

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
"""The time without a message, not even a tick, after which a link is down."""
MAX_INCOMING = 1024
_LATE_S = 2.5

_NOTHING = NodeEntries()


@dataclass(slots=True)
class _Incoming:
    """A link that another node has established."""

    node: str
    received_at: float
    """The time of its last message, in seconds of the loop's clock."""


class Exchange:
    """All links of one node: outgoing ones, and incoming ones at its endpoint.

    Args:
        on_links: called after a link comes up, with None, or goes down, with the other node's id.
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
        self._endpoint.route(FrameKind.GREETING, self._accept_link)
        self._endpoint.route(FrameKind.ENTRIES, self._take_incoming)

    def linked_nodes(self) -> set[str]:
        """Return the ids of the linked nodes."""
        return {node for _, node in self._up()}

    def link(self, label: str, find: Find, *, level: int = logging.WARNING) -> PeerLink:
        """Establish a link, and keep it up; log its failures with this label and level."""
        link = PeerLink(self._runtime, label, self._greeting, find, self, level=level, tasks=self._tasks)
        self._outgoing[link] = None
        self._start_ticks()
        return link

    def unlink(self, link: PeerLink) -> None:
        """End an outgoing link."""
        self._outgoing.pop(link, None)
        self._membership.close_link(link)
        link.close()

    def flush(self) -> None:
        """Send urgent entries at the end of this turn of the loop."""
        if not self._flushing and not self._closed and (self._incoming or self._outgoing):
            self._flushing = True
            self._loop.call_soon(self._flush)

    async def close(self) -> None:
        """Send the remaining entries, and end all outgoing links."""
        if self._ticker is not None:
            self._ticker.cancel()
        linked = bool(self._incoming or self._outgoing)
        self._flush()
        self._closed = True
        for link in self._outgoing:
            link.close()
        self._outgoing.clear()
        self._incoming.clear()
        await self._tasks.cancel()
        if linked:  # until the goodbye has spread over a link or two, so that no node reports a loss
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
        self._membership.mark_flushed()
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
            self._membership.restart_link(link)  # retried with the next tick
        return not failed

    def _start_ticks(self) -> None:
        if self._ticker is None or self._ticker.done():
            self._ticker = self._tasks.spawn(self._tick(), "ticks")

    async def _tick(self) -> None:
        """Send ticks as long as links or other nodes exist."""
        before = self._loop.time()
        while self._outgoing or self._incoming or self._membership.size > 1:
            await asyncio.sleep(TICK_S)
            now = self._loop.time()
            self._membership.tick(now)
            if now - before < _LATE_S:  # otherwise messages may have arrived, but not been read yet
                self._drop_silent(now)
            before = now
            self._flush(tick=True)

    def _drop_silent(self, now: float) -> None:
        for link in list(self._outgoing):
            if link.up and now - link.received_at > SILENT_S:
                link.drop()
        for identity, incoming in list(self._incoming.items()):
            if now - incoming.received_at > SILENT_S:
                self._ended(identity)

    def on_link_up(self, link: PeerLink) -> None:
        """Begin the exchange over an outgoing link."""
        self._membership.close_link(link)  # after another greeting, it may be another node
        self._membership.open_link(link, self._loop.time())
        self._on_links(None)
        self.flush()

    def on_entries(self, link: PeerLink | bytes, message: NodeEntries) -> None:
        """Take entries that have arrived over a link."""
        self._membership.receive(link, message, self._loop.time())
        if self._membership.urgent:
            self.flush()

    def on_link_down(self, link: PeerLink) -> None:
        """End the exchange over an outgoing link."""
        self._membership.close_link(link)
        self._loop.call_soon(self._on_links, link.node)  # when `link.node` is None already

    def _accept_link(self, identity: bytes, body: bytes) -> None:
        greeting = decode_body(body, Greeting)
        if self._closed:
            return
        known = self._incoming.get(identity)
        reason = ""
        if greeting.realm != self._greeting.realm:
            reason = f"its realm is {self._greeting.realm!r}, not {greeting.realm[:100]!r}"
            self._endpoint.warn(
                f"realm {greeting.node}",
                f"refused node {greeting.name!r}, which has this one as its peer: its realm is "
                f"{greeting.realm!r}, not {self._greeting.realm!r}",
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
        self._start_ticks()
        self._on_links(None)
        self.flush()

    def _take_incoming(self, identity: bytes, body: bytes) -> None:
        incoming = self._incoming.get(identity)
        if incoming is None:
            again = Refusal("there is no link to you", again=True)
            self._endpoint.send(identity, encode_control(FrameKind.REFUSAL, again))
            return
        message = decode_body(body, NodeEntries)
        incoming.received_at = self._loop.time()
        self.on_entries(identity, message)

    def _ended(self, identity: bytes) -> None:
        incoming = self._incoming.pop(identity, None)
        if incoming is not None:
            self._membership.close_link(identity)
            self._on_links(incoming.node)

"""An outgoing link to another node's endpoint."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Protocol

import zmq
from tornado.ioloop import IOLoop

from colugo.errors import FrameError
from colugo.net.runtime import Runtime
from colugo.net.transport.connector import Connector
from colugo.net.transport.tasks import Tasks
from colugo.protocol.frames import FrameKind
from colugo.protocol.membership.control import MAX_CONTROL_BYTES, decode_body, decode_control, encode_control
from colugo.protocol.membership.entries import Greeting, NodeEntries, Refusal

_ATTEMPT_S = 2.0
"""The timeout of an address, and of ZeroMQ's own reconnection."""
_PAUSE_S = 1.0
_REFUSED_S = 10.0
_LOG_AFTER = 3
_HWM = 1000

Find = Callable[[], Awaitable[list[str]]]


class PeerLinkListener(Protocol):
    """The owner of outgoing links."""

    def on_link_up(self, link: "PeerLink") -> None:
        """Take note that the peer has greeted."""

    def on_entries(self, link: "PeerLink", message: NodeEntries) -> None:
        """Take entries of the peer."""

    def on_link_down(self, link: "PeerLink") -> None:
        """Take note that a link that was up is down; `link.node` still names the peer."""


class PeerLink:
    """A link that tries one address after another, and reconnects after each loss."""

    def __init__(
        self,
        runtime: Runtime,
        label: str,
        greeting: Greeting,
        find: Find,
        listener: PeerLinkListener,
        *,
        level: int,
        tasks: Tasks,
    ) -> None:
        self.label = label
        self._sockets = runtime.sockets
        self._greeting = greeting
        self._find = find
        self._listener = listener
        self._logger = runtime.logger
        self._level = level
        self._connector: Connector | None = None
        self._changed = asyncio.Event()
        self._pause_s = 0.0
        self._logged: set[str] = set()
        self.node: str | None = None
        """The id of the other node while the link is up."""
        self.is_self = False
        """True if the other node turned out to be this one."""
        self.received_at = 0.0
        """The time of the last message, in seconds of the loop's clock."""
        self._task = tasks.spawn(self._run(), f"link to {label}")

    @property
    def up(self) -> bool:
        """True if both nodes have greeted."""
        return self.node is not None

    def send(self, message: NodeEntries) -> bool:
        """Send entries; return False if the link is down or its queue is full."""
        if self._connector is None or self.node is None:
            return False
        return self._send(FrameKind.ENTRIES, message)

    def drop(self) -> None:
        """Drop the connection, for example to a peer that has fallen silent; then reconnect."""
        self._down()
        self._disconnect()
        self._changed.set()

    def close(self) -> None:
        """Close the link without notifying the listener; sent messages linger for half a second at most."""
        self.node = None
        self._task.cancel()
        self._disconnect()

    async def _run(self) -> None:
        failures = 0
        try:
            while not self.is_self:
                endpoints = await self._find()
                if not endpoints:
                    self._log_once("has no address that this node can use; resolving it again")
                for endpoint in endpoints:
                    if await self._stay(endpoint):
                        failures = 0
                    if self.is_self:
                        break
                failures += 1
                if failures == _LOG_AFTER:
                    self._log_once("does not answer; retrying")
                await asyncio.sleep(self._pause_s or (0 if endpoints else _PAUSE_S))
        finally:
            self._disconnect()

    async def _stay(self, endpoint: str) -> bool:
        """Connect, and stay as long as the link is up; return True if it was up."""
        self._pause_s = 0.0
        worked = False
        try:
            self._connect(endpoint)
        except zmq.ZMQError as error:
            self._log_once(f"is not reachable: {error}")
            await asyncio.sleep(_PAUSE_S)
            return False
        while self._connector is not None:
            self._changed.clear()
            worked = worked or self.up
            with suppress(TimeoutError):
                async with asyncio.timeout(None if self.up else _ATTEMPT_S):
                    await self._changed.wait()
                continue
            break
        self._disconnect()
        return worked

    def _connect(self, endpoint: str) -> None:
        socket = self._sockets.dealer()
        socket.set(zmq.IMMEDIATE, 1)  # queued messages would be outdated when a connection is made
        socket.set(zmq.SNDHWM, _HWM)
        socket.set(zmq.MAXMSGSIZE, MAX_CONTROL_BYTES)
        try:
            self._connector = Connector(IOLoop.current(), self._sockets, socket, self, sole_endpoint=endpoint)
        except zmq.ZMQError:
            socket.disable_monitor()
            socket.close(0)
            raise

    def on_connected(self, endpoint: str) -> None:
        """Greet the other node."""
        del endpoint
        self._send(FrameKind.GREETING, self._greeting)

    def on_lost(self, endpoint: str) -> None:
        """Report the loss, and end the attempt."""
        del endpoint
        self._down()
        self._changed.set()

    def _down(self) -> None:
        if self.node is not None:
            self._listener.on_link_down(self)
            self.node = None

    def _disconnect(self) -> None:
        connector, self._connector = self._connector, None
        if connector is not None:
            connector.close()

    def _send(self, kind: FrameKind, body: object) -> bool:
        if self._connector is None:
            return False
        try:
            self._connector.socket.send(encode_control(kind, body), zmq.NOBLOCK)
        except zmq.Again:
            return False
        finally:
            self._connector.kick()
        return True

    def on_message(self, frames: list[bytes]) -> None:
        """Take a control message."""
        self.received_at = asyncio.get_running_loop().time()
        try:
            if len(frames) != 1:
                raise FrameError(f"a message of {len(frames)} frames")  # noqa: TRY301
            kind, body = decode_control(frames[0])
            if kind is FrameKind.GREETING:
                self._greeted(decode_body(body, Greeting))
            elif kind is FrameKind.ENTRIES and self.up:
                self._listener.on_entries(self, decode_body(body, NodeEntries))
            elif kind is FrameKind.REFUSAL:
                self._refused(decode_body(body, Refusal))
        except FrameError as error:
            self._log_once(f"sends invalid messages: {error}")

    def _greeted(self, greeting: Greeting) -> None:
        if greeting.node == self._greeting.node:
            self.is_self = True
            self._logger.debug("peer %s is this node itself", self.label)
            self._disconnect()
        else:
            self.node = greeting.node
            self._logged.clear()
            self._listener.on_link_up(self)
        self._changed.set()

    def _refused(self, refusal: Refusal) -> None:
        self._down()
        if refusal.again:
            self._send(FrameKind.GREETING, self._greeting)
            return
        self._log_once(f"refuses the link: {refusal.reason}")
        self._pause_s = _REFUSED_S
        self.drop()

    def _log_once(self, text: str) -> None:
        """Log a failure, once until the link has been up."""
        if text not in self._logged:
            self._logged.add(text)
            self._logger.log(self._level, "peer %s %s", self.label, text)

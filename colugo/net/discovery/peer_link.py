"""A link to another node's endpoint, from the connecting side."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress

import zmq
from tornado.ioloop import IOLoop

from colugo.errors import FrameError
from colugo.net.transport.connector import Connector
from colugo.net.transport.sockets import Sockets
from colugo.net.transport.tasks import Tasks
from colugo.protocol.frames import FrameKind
from colugo.protocol.membership.control import MAX_CONTROL_BYTES, decode_body, decode_control, encode_control
from colugo.protocol.membership.entries import Greeting, NodeEntries, Refusal

_ATTEMPT_S = 2.0
"""How long one address is tried, and how long a lost connection may take to come back by itself."""
_PAUSE_S = 1.0
_REFUSED_S = 10.0
_TELL_AFTER = 3
_HWM = 1000

Find = Callable[[], Awaitable[list[str]]]


class PeerLink:
    """Connects for as long as it is there: to one address after another, and anew after each loss.

    Args:
        sockets: where sockets are made.
        label: the peer, for the log.
        greeting: what this node says of itself.
        find: gives the endpoints to try.
        on_up: called with this link when the peer has greeted.
        on_entries: called with this link and what has come.
        on_down: called with this link when it was up and is no more.
        logger: the node's.
        level: of what it logs when it does not work.
        tasks: owner of its task.
    """

    def __init__(
        self,
        sockets: Sockets,
        label: str,
        greeting: Greeting,
        find: Find,
        *,
        on_up: Callable[["PeerLink"], None],
        on_entries: Callable[["PeerLink", NodeEntries], None],
        on_down: Callable[["PeerLink"], None],
        logger: logging.Logger,
        level: int,
        tasks: Tasks,
    ) -> None:
        self.label = label
        self._sockets = sockets
        self._greeting = greeting
        self._find = find
        self._on_up = on_up
        self._on_entries = on_entries
        self._on_down = on_down
        self._logger = logger
        self._level = level
        self._connector: Connector | None = None
        self._changed = asyncio.Event()
        self._pause_s = 0.0
        self._told: set[str] = set()
        self.node: str | None = None
        """The id of the node at the other side, while the link is up."""
        self.is_self = False
        """Whether this node itself was at the other side."""
        self.heard_at = 0.0
        """When something last came."""
        self._task = tasks.spawn(self._run(), f"link to {label}")

    @property
    def up(self) -> bool:
        """Whether both have greeted."""
        return self.node is not None

    def send(self, message: NodeEntries) -> bool:
        """Send if it is up; whether there was room."""
        if self._connector is None or self.node is None:
            return False
        return self._send(FrameKind.ENTRIES, message)

    def drop(self) -> None:
        """Nothing comes any more: connect anew."""
        self._down()
        self._disconnect()
        self._changed.set()

    def close(self) -> None:
        """End it; what was sent still leaves, for half a second at most. Nothing is reported."""
        self.node = None
        self._task.cancel()
        self._disconnect()

    async def _run(self) -> None:
        failures = 0
        try:
            while not self.is_self:
                endpoints = await self._find()
                if not endpoints:
                    self._tell("has no address that this node may use; it is looked for again and again")
                for endpoint in endpoints:
                    if await self._stay(endpoint):
                        failures = 0
                    if self.is_self:
                        break
                failures += 1
                if failures == _TELL_AFTER:
                    self._tell("does not answer; it is tried again and again")
                await asyncio.sleep(self._pause_s or (0 if endpoints else _PAUSE_S))
        finally:
            self._disconnect()

    async def _stay(self, endpoint: str) -> bool:
        """Connect, and stay as long as that works; whether it did."""
        self._pause_s = 0.0
        worked = False
        try:
            self._connect(endpoint)
        except zmq.ZMQError as error:
            self._tell(f"cannot be connected to: {error}")
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
        socket.set(zmq.IMMEDIATE, 1)  # what waits for a connection would be old when there is one
        socket.set(zmq.SNDHWM, _HWM)
        socket.set(zmq.MAXMSGSIZE, MAX_CONTROL_BYTES)
        try:
            self._connector = Connector(
                IOLoop.current(),
                self._sockets,
                socket,
                self,
                sole_endpoint=endpoint,
            )
        except zmq.ZMQError:
            socket.disable_monitor()
            socket.close(0)
            raise

    def on_connected(self, endpoint: str) -> None:
        """Greet the other node."""
        del endpoint
        self._greet()

    def _greet(self) -> None:
        self._send(FrameKind.GREETING, self._greeting)

    def on_lost(self, endpoint: str) -> None:
        """Report the loss, and end the attempt."""
        del endpoint
        self._down()
        self._changed.set()

    def _down(self) -> None:
        if self.node is not None:
            self._on_down(self)
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
        self.heard_at = asyncio.get_running_loop().time()
        try:
            if len(frames) != 1:
                raise FrameError(f"a message of {len(frames)} frames")  # noqa: TRY301
            kind, body = decode_control(frames[0])
            if kind is FrameKind.GREETING:
                self._greeted(decode_body(body, Greeting))
            elif kind is FrameKind.ENTRIES and self.up:
                self._on_entries(self, decode_body(body, NodeEntries))
            elif kind is FrameKind.REFUSAL:
                self._refused(decode_body(body, Refusal))
        except FrameError as error:
            self._tell(f"sends what is not understood: {error}")

    def _greeted(self, greeting: Greeting) -> None:
        if greeting.node == self._greeting.node:
            self.is_self = True
            self._logger.debug("peer %s is this node itself", self.label)
            self._disconnect()
        else:
            self.node = greeting.node
            self._told.clear()
            self._on_up(self)
        self._changed.set()

    def _refused(self, refusal: Refusal) -> None:
        self._down()
        if refusal.again:
            self._greet()
            return
        self._tell(f"refuses the link: {refusal.reason}")
        self._pause_s = _REFUSED_S
        self._disconnect()
        self._changed.set()

    def _tell(self, text: str) -> None:
        """Log it, once until the link has been up."""
        if text not in self._told:
            self._told.add(text)
            self._logger.log(self._level, "peer %s %s", self.label, text)

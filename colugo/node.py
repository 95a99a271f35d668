"""The node: one loop, one identity, and the sockets on it."""

import asyncio
import logging
import os
import threading
from collections.abc import Callable, Coroutine, Iterable
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar
from uuid import UUID

from tornado.ioloop import IOLoop

from colugo.errors import ClosedError, DuplicateTopicError, LifecycleError
from colugo.net.directory import Directory
from colugo.net.host import host_id
from colugo.net.interfaces import Scope, resolve_scope
from colugo.net.loop_runner import run_on
from colugo.net.mdns import MdnsDirectory
from colugo.net.runtime import Runtime
from colugo.net.sockets import DEFAULT_MAX_MESSAGE_BYTES
from colugo.patterns.delayed import DelayedCallback
from colugo.patterns.publisher import DEFAULT_HWM, Publisher
from colugo.patterns.repeater import Repeater
from colugo.patterns.reply_server import ReplyServer
from colugo.patterns.request_client import Balance, RequestClient
from colugo.patterns.subscriber import DEFAULT_QUEUE, Subscriber
from colugo.protocol.advertisement import Advertisement, check_name, check_realm


class _Part(Protocol):
    def close(self) -> None: ...


P = TypeVar("P", bound=_Part)
T = TypeVar("T")


class Node:
    """One participant: finds others on the network and talks to them.

    Subclass it or use it as it is. There are three ways to run it: `start()` blocks until `stop()`,
    SIGINT or SIGTERM; `async with Node("x") as node:` runs it on the loop that is there;
    `with Node("x").running() as node:` runs it on a thread of its own.

    Args:
        name: what others see; 1 to 63 bytes. Names need not be unique.
        realm: only nodes of one realm meet; None means the environment variable `COLUGO_REALM`, or
            `"default"` without it.
        scope: `"host"`, `"lan"`, or interface names and addresses divided by commas; None means
            `COLUGO_SCOPE`, or `"lan"` without it.
        directory: where to advertise and discover; None means mDNS.
        max_message_bytes: larger messages are neither sent nor received (64 MiB).

    Raises:
        ConfigurationError: if a value cannot work.
    """

    def __init__(
        self,
        name: str,
        *,
        realm: str | None = None,
        scope: str | None = None,
        directory: Directory | None = None,
        max_message_bytes: int = DEFAULT_MAX_MESSAGE_BYTES,
    ) -> None:
        self._runtime = Runtime(
            check_name(name),
            realm=check_realm(realm if realm is not None else os.environ.get("COLUGO_REALM") or "default"),
            scope=resolve_scope(scope),
            max_message_bytes=max_message_bytes,
            host_id=host_id(),
        )
        self._directory = directory
        self._parts: list[_Part] = []
        self._topics: set[tuple[str, str]] = set()
        self._own_loop: IOLoop | None = None
        self._started = False
        self._stopping = False
        self._closing: asyncio.Task[None] | None = None
        self._stop_requested: asyncio.Event | None = None
        self._lock = threading.RLock()  # a signal handler may call stop() inside stop()

    @property
    def name(self) -> str:
        """The node's name."""
        return self._runtime.name

    @property
    def uuid(self) -> UUID:
        """The node's identity, new each time a node is made."""
        return self._runtime.uuid

    @property
    def realm(self) -> str:
        """The node's realm."""
        return self._runtime.realm

    @property
    def scope(self) -> Scope:
        """The addresses that the node uses."""
        return self._runtime.scope

    @property
    def logger(self) -> logging.Logger:
        """The logger of the node's name."""
        return self._runtime.logger

    @property
    def loop(self) -> IOLoop:
        """The Tornado loop it runs on; before that, the one on which `start()` will run it."""
        if self._runtime.running:
            return self._runtime.loop
        if self._own_loop is None:
            self._own_loop = IOLoop(make_current=False)
        return self._own_loop

    @property
    def callback_errors(self) -> int:
        """How many callbacks have raised; each is in the log with its traceback."""
        return self._runtime.callback_errors

    @property
    def advertisements(self) -> list[Advertisement]:
        """The sockets known in this realm, this node's own included."""
        return self._runtime.registry.known

    # --- sockets

    def add_publisher(
        self,
        topic: str,
        *,
        codec: Any = None,
        framing: str = "colugo",
        port: int | None = None,
        hwm: int = DEFAULT_HWM,
    ) -> Publisher:
        """Add a publisher.

        Args:
            topic: letters, digits, `.`, `/`, `-`, `_`; at most 200 bytes.
            codec: None for str and bytes as they are, `"json"`, `"msgpack"`, `"cbor"`, `"pickle"`, a
                protobuf message class, a `msgspec.Struct`, a dataclass, or a `Codec` of your own.
            framing: `"colugo"`, or `"raw"` for one plain frame a message, so that any ZeroMQ SUB
                socket can listen.
            port: TCP port; None for a free one.
            hwm: high-water mark: messages that may wait for one reader (`ZMQ_SNDHWM`); what comes
                beyond is lost to that reader.

        Raises:
            TopicError: if the topic breaks the rules.
            DuplicateTopicError: if this node has a publisher of the topic.
            BindError: if the port cannot be had.
            ClosedError: after the node has stopped.
        """
        return self._add(
            ("publisher", topic),
            lambda: Publisher(self._runtime, topic, codec=codec, framing=framing, port=port, hwm=hwm),
        )

    def add_subscriber(  # noqa: PLR0913 - keyword-only options
        self,
        topic: str,
        callback: Callable[..., Any] | None = None,
        on_connect: Callable[..., Any] | None = None,
        *,
        codec: Any = None,
        on_disconnect: Callable[..., Any] | None = None,
        on_error: Callable[..., Any] | None = None,
        queue: int = DEFAULT_QUEUE,
        connect: Iterable[str] = (),
    ) -> Subscriber:
        """Add a subscriber, which connects to every publisher of the topic.

        Args:
            topic: a topic, or a pattern of words divided by `.`, where `*` is one word and `#` any
                number (RabbitMQ's rules).
            callback: `callback(message)` or `callback(message, info)`, plain or coroutine; a coroutine
                is run for one message after another. None to iterate over the subscriber.
            on_connect: `on_connect()` or `on_connect(peer)`, when a publisher is connected and what it
                sends from then on arrives.
            codec: as the publisher's.
            on_disconnect: `on_disconnect()`, `(peer)` or `(peer, reason)`; the reason is `"lost"` or
                `"withdrawn"`.
            on_error: `on_error(error)` or `on_error(error, info)` for a message that does not decode.
            queue: messages that may wait for a coroutine callback or the iteration; the oldest are
                dropped beyond, and counted.
            connect: endpoints of plain ZeroMQ publishers, such as `["tcp://192.0.2.7:5556"]`.

        Raises:
            TopicError: if the topic or pattern breaks the rules.
            ConfigurationError: if an option cannot work.
            ClosedError: after the node has stopped.
        """
        return self._add(
            None,
            lambda: Subscriber(
                self._runtime,
                topic,
                callback,
                on_connect,
                codec=codec,
                on_disconnect=on_disconnect,
                on_error=on_error,
                queue=queue,
                connect=connect,
            ),
        )

    def add_reply_server(
        self, topic: str, callback: Callable[..., Any], *, codec: Any = None, port: int | None = None
    ) -> ReplyServer:
        """Add a reply server.

        Args:
            topic: as a publisher's.
            callback: `callback(message, reply)`, which calls `reply(answer)` once, at any time, from any
                thread; or `callback(message)`, whose return value is the reply. Plain or coroutine;
                coroutines run side by side. An exception travels back as `RemoteError`.
            codec: for requests and replies.
            port: TCP port; None for a free one.

        Raises:
            TopicError: if the topic breaks the rules.
            DuplicateTopicError: if this node has a reply server of the topic.
            BindError: if the port cannot be had.
            ClosedError: after the node has stopped.
        """
        return self._add(
            ("reply server", topic),
            lambda: ReplyServer(self._runtime, topic, callback, codec=codec, port=port),
        )

    def add_request_client(  # noqa: PLR0913 - keyword-only options
        self,
        topic: str,
        on_connect: Callable[..., Any] | None = None,
        *,
        codec: Any = None,
        on_disconnect: Callable[..., Any] | None = None,
        balance: Balance = "round-robin",
        connect: Iterable[str] = (),
    ) -> RequestClient:
        """Add a request client, which connects to every reply server of the topic.

        Args:
            topic: as a publisher's.
            on_connect: `on_connect()` or `on_connect(peer)`, when a server can take requests.
            codec: for requests and replies.
            on_disconnect: `on_disconnect()`, `(peer)` or `(peer, reason)`; the reason is `"lost"` or
                `"withdrawn"`.
            balance: which server gets the next request: `"round-robin"`, or `"least-outstanding"`.
            connect: endpoints of plain ZeroMQ servers, such as `["tcp://192.0.2.7:5557"]`.

        Raises:
            TopicError: if the topic breaks the rules.
            ConfigurationError: if an option cannot work.
            ClosedError: after the node has stopped.
        """
        return self._add(
            None,
            lambda: RequestClient(
                self._runtime,
                topic,
                on_connect,
                codec=codec,
                on_disconnect=on_disconnect,
                balance=balance,
                connect=connect,
            ),
        )

    def add_repeater(self, delay_ms: float, callback: Callable[..., Any]) -> Repeater:
        """Call back at a fixed rate, first after one delay; ticks that are missed are skipped and counted.

        Args:
            delay_ms: milliseconds from 1 on.
            callback: takes no argument; plain or coroutine.
        """
        return self._add(None, lambda: Repeater(self._runtime, delay_ms, callback))

    def add_delayed_callback(self, delay_ms: float, callback: Callable[..., Any]) -> DelayedCallback:
        """Call back once.

        Args:
            delay_ms: milliseconds from now, or from the start of the node if it does not run yet.
            callback: takes no argument; plain or coroutine.
        """
        return self._add(None, lambda: DelayedCallback(self._runtime, delay_ms, callback, self._forget))

    # --- lifecycle

    def start(self) -> None:
        """Run until `stop()`, SIGINT or SIGTERM; blocks, and returns when everything is closed.

        Raises:
            LifecycleError: if it was started before, or inside a running loop.
        """
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            pass
        else:
            raise LifecycleError("start() blocks; inside a running loop use: async with Node(…) as node")
        self._begin()
        run_on(self.loop, self._main, self.stop)

    def running(self) -> AbstractContextManager[Self]:
        """Run on a thread of its own for the length of a `with` block."""
        return _RunningNode(self)

    def stop(self) -> None:
        """Stop: goodbye, flush for half a second at most, close everything.

        May be called from anywhere: a callback, another thread, a signal handler; more than once, and
        before the start. Returns at once if the node runs; `start()` returns when it is done.
        """
        with self._lock:
            self._stopping = True
            if self._started:
                if self._stop_requested is not None and self._runtime.running:
                    self._runtime.loop.add_callback(self._stop_requested.set)
                return
            self._started = True
        self._close_parts()
        self._runtime.closed = True
        self._runtime.close_unopened()
        if self._own_loop is not None:
            self._own_loop.close()

    async def aclose(self) -> None:
        """Stop, and return when everything is closed. On the node's loop."""
        self.stop()
        await self.closed()

    async def closed(self) -> None:
        """Return when the node has been stopped and everything is closed. On the node's loop."""
        if self._closing is not None:
            await asyncio.shield(self._closing)

    def run(self, coroutine: Coroutine[Any, Any, T], timeout_ms: float | None = None) -> T:
        """Run a coroutine on the node's loop from another thread and return its result.

        Args:
            coroutine: such as `publisher.ready()` or `client.request("x")`.
            timeout_ms: milliseconds to wait; None for no limit.

        Raises:
            LifecycleError: on the node's own thread, where this would never end.
            TimeoutError: when the time is up.
        """
        if self._runtime.running and self._runtime.on_own_thread():
            coroutine.close()
            raise LifecycleError("run() is for other threads; on the node's own, await the coroutine")
        future = asyncio.run_coroutine_threadsafe(coroutine, self.loop.asyncio_loop)  # type: ignore[attr-defined]
        return future.result(None if timeout_ms is None else timeout_ms / 1000)

    async def __aenter__(self) -> Self:
        self._begin()
        await self._open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def _begin(self) -> None:
        with self._lock:
            if self._stopping:
                raise ClosedError(f"the node {self.name!r} has been stopped; make a new one")
            if self._started:
                raise LifecycleError(f"the node {self.name!r} has been started already")
            self._started = True

    async def _main(self) -> None:
        await self._open()
        await self.closed()

    async def _open(self) -> None:
        self._stop_requested = asyncio.Event()
        if self._stopping:  # between _begin and here
            self._stop_requested.set()
        self._closing = asyncio.get_running_loop().create_task(
            self._close(), name=f"colugo {self.name} close"
        )
        scope = self.scope
        try:
            await self._runtime.open(self._directory or MdnsDirectory(scope))
        except BaseException:
            await self.aclose()
            raise
        note = f"; {scope.note}" if scope.note else ""
        reach = "this host" if scope.host_only else "whoever is on that network"
        self.logger.info("scope %s, realm %s, open to %s%s", scope, self.realm, reach, note)

    async def _close(self) -> None:
        try:
            if self._stop_requested is not None:
                await self._stop_requested.wait()
        finally:
            self._stopping = True
            await self._runtime.close_directory()
            self._close_parts()
            self._runtime.closed = True
            await self._runtime.close()

    def _close_parts(self) -> None:
        parts, self._parts = self._parts, []
        for part in reversed(parts):
            part.close()

    def _add(self, key: tuple[str, str] | None, make: Callable[[], P]) -> P:
        if self._runtime.running and not self._runtime.on_own_thread():

            async def on_loop() -> P:
                return self._add(key, make)

            return self.run(on_loop())
        if self._stopping:
            raise ClosedError(f"the node {self.name!r} has been stopped")
        if key in self._topics:
            raise DuplicateTopicError(f"the node {self.name!r} has a {' of '.join(key or ())} already")
        part = make()
        self._parts.append(part)
        if key is not None:
            self._topics.add(key)
        return part

    def _forget(self, part: _Part) -> None:
        if part in self._parts:
            self._parts.remove(part)


class _RunningNode(AbstractContextManager[Any]):
    """A node on a thread of its own."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._ready = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=f"colugo {node.name}", daemon=True)

    def __enter__(self) -> Any:
        self._node._begin()
        self._thread.start()
        self._ready.wait()
        if self._error is not None:
            self._thread.join()
            raise self._error
        return self._node

    def __exit__(self, *_: object) -> None:
        self._node.stop()
        self._thread.join()

    def _run(self) -> None:
        try:
            run_on(self._node.loop, self._main, self._node.stop)
        except BaseException as error:  # noqa: BLE001 - raised by __enter__
            self._error = error
        finally:
            self._ready.set()

    async def _main(self) -> None:
        await self._node._open()
        self._ready.set()
        await self._node.closed()

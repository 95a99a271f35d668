"""The messenger: named messages for scripts and threads."""

import asyncio
import atexit
import inspect
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import asdict
from os import PathLike
from typing import TYPE_CHECKING, Any, Self, Unpack

from colugo.config import NodeOptions
from colugo.errors import ClosedError, ConfigurationError, LifecycleError
from colugo.messenger.callback_thread import CallbackThread
from colugo.messenger.messenger_stats import MessengerStats
from colugo.messenger.named_message import (
    DISCOVERY_S,
    MOST_WAITING,
    SEND_PORT,
    SUB_PORT,
    TOPIC,
    Envelope,
    check_name,
    seal,
    to_bytes,
)
from colugo.messenger.outbox import Outbox, relay_endpoint
from colugo.messenger.subscriptions import Subscriptions
from colugo.node import Node
from colugo.patterns.base import Part, check_count
from colugo.patterns.callbacks import count_parameters
from colugo.protocol.codecs import resolve_codec

_LONGEST_S = 1e9

if TYPE_CHECKING:
    from colugo.patterns.pubsub.publisher import Publisher
    from colugo.patterns.pubsub.subscriber import Subscriber


class Messenger:
    """Sends named messages, and calls back for the names that were subscribed to; from any thread.

    Messengers of a realm discover each other. Callbacks run on a thread of the messenger, one at a time, and
    may send messages. This thread keeps the program alive until `stop()`, if `start()` has been called.
    `Mezzenger` is the same class.

    Args:
        server_address: the name or address of a relay's host (`colugo relay`): all messages pass through this
            relay, and nothing is discovered. None to discover messengers and relays.
        send_port: the relay's `--recv-port`.
        sub_port: the relay's `--pub-port`.
        send_timeout: the longest time for one try to store a message, in seconds.
        connection_retries: the number of tries.
        auto_start: True to receive from now on; False for programs that only send, or call `start()`.
        verbose: True to print each step.
        codec: the codec of payloads, as for `Node.add_publisher`; the same for all messengers that exchange
            messages. `"pickle"` carries any Python object, and lets every sender run code here.
        store: the path of a file (SQLite) for messages with `ack=1` that no relay has taken. They survive the
            program, and are sent when it starts again. None to store them in memory.
        node: a `Node` that runs on another thread; it is not stopped with the messenger. Its own thread must
            not call the messenger, whose methods wait for it. A node can have one messenger. None for a node
            of the messenger's own.
        name: the name of its own node; None for `"messenger"`.
        **options: more options of its own node: those of `Node`.

    Raises:
        ConfigurationError: if a value cannot work, or both a node and options of one are given.
        LifecycleError: if the given node does not run.
        RelayError: if no relay answers at `server_address`, and there is no `store`.
        StoreError: if the store cannot be used.
    """

    def __init__(  # noqa: PLR0917 - Mezzenger's arguments, in its order
        self,
        server_address: str | None = None,
        send_port: int = SEND_PORT,
        sub_port: int = SUB_PORT,
        send_timeout: float = 2,
        connection_retries: int = 5,
        auto_start: bool = True,  # noqa: FBT001, FBT002 - as above
        verbose: bool = False,  # noqa: FBT001, FBT002 - as above
        *,
        codec: Any = "msgpack",
        store: str | PathLike[str] | None = None,
        node: Node | None = None,
        name: str | None = None,
        **options: Unpack[NodeOptions],
    ) -> None:
        check_count("connection_retries", connection_retries)
        self._timeout_s = _check_seconds("send_timeout", send_timeout)
        self._verbose = verbose
        self._codec = resolve_codec(codec)
        send_to = receive_from = None
        if server_address is not None:
            send_to = relay_endpoint(server_address, send_port)
            receive_from = relay_endpoint(server_address, sub_port)
        self._discovers = server_address is None
        self._lock = threading.RLock()
        self._stopped = threading.Event()
        self._closing = self._receives = False
        self._left = self._stopping = 0
        self._publisher: Publisher | None = None
        self._subscriber: Subscriber | None = None
        self._published = 0
        self._owns_node = node is None
        if node is None:
            self._node = Node("messenger" if name is None else name, **options)
        else:
            self._node = _check_node(node, name, options)
        self._worker = CallbackThread(f"colugo {self._node.name} callbacks", self.stop)
        self._subscriptions = Subscriptions(
            self._node,
            self._worker,
            self._codec,
            receive_from=receive_from,
            timeout_s=self._timeout_s,
            report=self._report,
        )
        self._outbox = Outbox(
            self._node,
            server=send_to,
            store=store,
            timeout_s=self._timeout_s,
            tries=connection_retries,
            report=self._report,
        )
        self._running = ExitStack()
        try:
            self._outbox.open()
            if send_to is None:
                self._publisher = self._node.add_publisher(TOPIC)
            if self._owns_node:
                self._running.enter_context(self._node.running())
            self._made = time.monotonic()
            atexit.register(self.stop)
            if send_to is not None and store is None:
                self._node.run(self._outbox.reach_relay())
            if auto_start:
                self.start()
        except BaseException:
            self._end()
            raise

    # --- life

    @property
    def name(self) -> str:
        """The name of the messenger's node."""
        return self._node.name

    @property
    def stats(self) -> MessengerStats:
        """The counters so far, and the number of messages that are kept now."""
        outbox = self._outbox
        return MessengerStats(
            published=self._published,
            stored=outbox.stored,
            handed_over=outbox.handed_over,
            kept=outbox.kept,
            dead=outbox.dead,
            lost=self._lost,
            relays=outbox.relays,
            **asdict(self._subscriptions.counts),
        )

    @property
    def _lost(self) -> int:
        if self._subscriber is None:
            return 0
        stats = self._subscriber.stats
        return stats.lost + stats.dropped

    def start(self) -> None:
        """Begin to receive; a second time is a no-op.

        Raises:
            ClosedError: after `stop()`.
        """
        with self._lock:
            self._check_open()
            if self._receives:
                return
            self._receives = True
            if self._discovers:
                on_published = self._subscriptions.on_published
                self._subscriber = self._node.add_subscriber(TOPIC, on_published, queue=MOST_WAITING)
            self._worker.start()
            if self._subscriptions.callbacks:
                self._subscriptions.bind()

    def stop(self, timeout: float | None = None) -> int:
        """Stop: hand the messages that are kept here over to a relay, and close; a second time is a no-op.

        The log tells how many are left. In a callback, it returns 0 immediately, and the messenger stops when
        the callback has returned.

        Args:
            timeout: the longest time to wait for a relay or a subscriber to take the messages that are kept
                here, in seconds, even if none is connected yet. None for `send_timeout` if one is connected,
                and else no time.

        Returns:
            The number of messages with `ack=1` that are left: lost with this program, or waiting in `store`.

        Raises:
            LifecycleError: on the thread of a given node, for which it would wait.
        """
        wait_s = self._timeout_s if timeout is None else _check_seconds("timeout", timeout)
        if threading.current_thread() is self._worker:
            threading.Thread(target=self.stop, args=(timeout,), name=f"colugo {self.name} stop").start()
            return 0
        if self._node.is_running and self._node.on_own_thread():
            raise LifecycleError("stop() waits for the node: call it on another thread than the node's")
        with self._lock:
            again, self._closing = self._closing, True
            if not again:
                self._stopping = threading.get_ident()
        if again:
            if self._stopping != threading.get_ident():  # else a signal handler has interrupted it
                self._stopped.wait()
            return self._left
        try:  # without the lock, so that a callback that waits for it gets a ClosedError
            discovery_s = self._outbox.discovery_left_s if timeout is None else wait_s
            self._node.run(self._outbox.drain(wait_s, discovery_s))
        except ClosedError:
            self._report("the node had been stopped")
        finally:  # also after Ctrl-C
            self._left = self._outbox.kept
            self._end()
        return self._left

    def stopped(self) -> bool:
        """Return True once `stop()` is done."""
        return self._stopped.is_set()

    def join(self, timeout: float | None = None) -> bool:
        """Wait until the messenger has been stopped; return True if it has.

        Args:
            timeout: the longest time, in seconds; None for no limit.
        """
        return self._stopped.wait(timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    # --- messages

    def send_message(self, name: str, payload: Any, ack: int = 0) -> None:
        """Send a message to all subscribers of its name.

        Args:
            name: any text without `|`, 1 to 250 bytes of UTF-8.
            payload: an object that the codec takes.
            ack: 0: those who are subscribed now get it; without a subscriber, it is dropped. 1: it is stored
                when this returns, at a relay if one is connected, and else here, and kept until a callback
                has returned from it.

        Raises:
            ConfigurationError: if the name breaks the rules, or `ack` is neither 0 nor 1.
            EncodeError: if the codec cannot take the payload.
            MessageTooLargeError: if it is over the node's `max_message_bytes`.
            NotStoredError: if a message with `ack=1` could not be stored anywhere, after all tries.
            RelayError: if the relay at `server_address` has not taken the message, after all tries.
            ClosedError: after `stop()`.
        """
        if ack not in (0, 1):
            raise ConfigurationError(f"ack must be 0 or 1, not {ack!r}")
        envelope = seal(check_name(name), payload, int(ack), self._codec)
        self._check_open()
        self._report(f"sending {name!r}, ack={int(ack)}")
        if ack:
            self._node.run(self._store(envelope))
        elif self._publisher is None:
            self._node.run(self._outbox.forward(envelope))
            self._published += 1
        else:
            self._stopped.wait(self._discovery_left_s)
            self._publisher.send(to_bytes(envelope))
            self._published += 1

    def subscribe(self, name: str, callback: Callable[..., Any]) -> None:
        """Call back for the messages of a name; a second call replaces the callback.

        Before `start()` it is noted, and begins then. Messages that were sent with `ack=1` and are still kept
        come first. A message with `ack=1` whose callback has raised is redelivered, up to ten times with
        growing pauses.

        Args:
            name: as of `send_message`.
            callback: `callback(payload, message)` or `callback(payload)`, a plain function; the message has
                `name`, `payload`, `ack`, `timestamp` (seconds since 1970), `checksum`, `id`, `redelivered`.

        Raises:
            ConfigurationError: if the name breaks the rules, the callback cannot be called so, or there are
                more than 1,000 names (500 with `server_address`).
            ClosedError: after `stop()`.
        """
        check_name(name)
        if not callable(callback) or inspect.iscoroutinefunction(callback):
            raise ConfigurationError(f"a messenger's callback must be a plain function, not {callback!r}")
        count = count_parameters(callback, f"callback of {name!r}", 1, 2)
        with self._lock:
            self._check_open()
            known = name in self._subscriptions.callbacks
            self._subscriptions.callbacks[name] = callback, count
            if not known:
                try:
                    self._bind()
                except ConfigurationError:
                    del self._subscriptions.callbacks[name]
                    raise

    def unsubscribe(self, name: str) -> None:
        """Stop calling back for a name; messages of it that are kept wait for others.

        Args:
            name: the name that was given to `subscribe`.

        Raises:
            ConfigurationError: if there is no subscription of that name.
            ClosedError: after `stop()`.
        """
        with self._lock:
            self._check_open()
            if self._subscriptions.callbacks.pop(name, None) is None:
                raise ConfigurationError(f"this messenger has not subscribed to {name!r}")
            self._bind()

    # --- within

    async def _store(self, envelope: Envelope) -> None:
        if self._discovers and not self._outbox.relays and self._discovery_left_s > 0:
            await self._outbox.wait_for_relay(self._discovery_left_s)
        await self._outbox.store(envelope)

    @property
    def _discovery_left_s(self) -> float:
        """The time that the discovery of others may still need, in seconds."""
        return max(0.0, self._made + DISCOVERY_S - time.monotonic())

    def _end(self) -> None:
        try:
            if self._owns_node:
                self._running.close()
                self._node.stop()  # if it never ran
            else:
                with suppress(ClosedError):  # stopped meanwhile: it has closed the sockets
                    self._node.run(self._close_parts())
        finally:
            if self._receives and not self._worker.close():
                self._node.logger.warning(
                    "a callback still runs: the program ends when it returns (the thread %r)",
                    self._worker.name,
                )
            self._stopped.set()
            atexit.unregister(self.stop)

    async def _close_parts(self) -> None:
        """Close the sockets as a node does that stops: finish, then close."""
        own = filter(None, (self._publisher, self._subscriber))
        parts: list[Part] = [*own, *self._subscriptions.parts, *self._outbox.parts]
        for part in parts:
            part.quiesce()
        await asyncio.gather(*(part.finish() for part in parts))
        for part in parts:
            part.close()

    def _check_open(self) -> None:
        if self._closing:
            raise ClosedError(f"the messenger {self._node.name!r} has been stopped")

    def _bind(self) -> None:
        if self._receives:
            self._subscriptions.bind()
        else:
            self._subscriptions.patterns()  # raises now if there are too many

    def _report(self, text: str) -> None:
        self._node.logger.debug("%s", text)
        if self._verbose:
            print(f"{self._node.name}: {text}", flush=True)  # noqa: T201 - verbose=True asks for it


def _check_node(node: object, name: str | None, options: NodeOptions) -> Node:
    if not isinstance(node, Node):
        raise ConfigurationError(f"node= takes a Node, not {node!r}")
    given = ", ".join(f"{one}=" for one in [*(["name"] if name is not None else []), *options])
    if given:
        raise ConfigurationError(f"the node {node.name!r} has its own options: leave out node=, or {given}")
    if not node.is_running:
        raise LifecycleError(f"the node {node.name!r} must run before a messenger uses it")
    return node


def _check_seconds(what: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < _LONGEST_S:
        raise ConfigurationError(f"{what} must be a number of seconds > 0, not {value!r}")
    return float(value)

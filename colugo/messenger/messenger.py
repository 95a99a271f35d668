"""The messenger: named messages for scripts and threads, without a loop in sight."""

import atexit
import inspect
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from os import PathLike
from typing import TYPE_CHECKING, Any, Self

from colugo.errors import ClosedError, ConfigurationError
from colugo.messenger.callback_thread import CallbackThread
from colugo.messenger.keeping import Keeping, relay_endpoint
from colugo.messenger.messenger_stats import MessengerStats
from colugo.messenger.named_message import check_name, seal, to_bytes
from colugo.messenger.names import MEETING_S, MOST_WAITING, SEND_PORT, SUB_PORT, TOPIC
from colugo.messenger.receiving import Receiving
from colugo.messenger.subscriptions import Subscriptions
from colugo.node import Node
from colugo.patterns.base import check_count
from colugo.patterns.callbacks import count_parameters
from colugo.protocol.codecs import resolve_codec

_LONGEST_S = 1e9

if TYPE_CHECKING:
    from colugo.patterns.pubsub.subscriber import Subscriber


class Messenger:
    """Sends named messages, and calls back for those that were subscribed to; from any thread.

    Messengers of a realm find each other. Callbacks run on a thread of the messenger, one after another, and
    may send messages. This thread keeps the program alive until `stop()`, if `start()` has been called.
    `Mezzenger` is the same class.

    Args:
        server_address: name or address of the host of a relay (`colugo relay`): everything goes by this
            relay, and nothing is discovered. None to discover whoever is there, a relay included.
        send_port: the relay's `--recv-port`.
        sub_port: the relay's `--pub-port`.
        send_timeout: seconds that one try to store a message takes at most.
        connection_retries: how many such tries are made.
        auto_start: whether to listen from now on; False for programs that only send, or call `start()`.
        verbose: whether to print what happens.
        codec: of payloads, the same for all who exchange messages: as of `Node.add_publisher`. `"pickle"`
            carries any Python object, and lets every sender run code here.
        store: path of a file (SQLite) for the messages with `ack=1` that no relay has taken: they outlive the
            program, and are sent on when it is started again. None to keep them in memory.
        realm: only messengers of one realm meet; None for `COLUGO_REALM`, or `"default"`.
        name: what others see of the messenger's node.

    Raises:
        ConfigurationError: if a value cannot work.
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
        realm: str | None = None,
        name: str = "messenger",
    ) -> None:
        check_count("connection_retries", connection_retries)
        self._timeout_s = _check_seconds("send_timeout", send_timeout)
        self._verbose = verbose
        self._codec = resolve_codec(codec)
        send_to = hear_from = None
        if server_address is not None:
            send_to = relay_endpoint(server_address, send_port)
            hear_from = relay_endpoint(server_address, sub_port)
        self._discovers = server_address is None
        self._lock = threading.RLock()
        self._stopped = threading.Event()
        self._closing = self._listening = False
        self._left = self._stopping = 0
        self._subscriber: Subscriber | None = None
        self._published = 0
        self._worker = CallbackThread(f"colugo {name} callbacks", self.stop)
        self._receiving = Receiving(self._worker, self._codec, self._say)
        self._node = Node(name, realm=realm)
        self._subscriptions = Subscriptions(
            self._node, self._receiving, self._worker, hear_from=hear_from, timeout_s=self._timeout_s
        )
        self._running = ExitStack()
        try:
            self._keeping = Keeping(
                self._node,
                server=send_to,
                store=store,
                timeout_s=self._timeout_s,
                tries=connection_retries,
                say=self._say,
            )
            self._publisher = self._node.add_publisher(TOPIC) if send_to is None else None
            self._running.enter_context(self._node.running())
            self._born = time.monotonic()
            atexit.register(self.stop)
            if send_to is not None and store is None:
                self._node.run(self._keeping.reach_relay())
            if auto_start:
                self.start()
        except BaseException:
            self._end()
            raise

    # --- life

    @property
    def name(self) -> str:
        """What others see of the messenger's node."""
        return self._node.name

    @property
    def stats(self) -> MessengerStats:
        """Counters so far, and what is kept now."""
        counts, keeping = self._receiving.counts, self._keeping
        return MessengerStats(
            published=self._published,
            stored=keeping.stored,
            handed_over=keeping.handed_over,
            kept=keeping.kept,
            dead=keeping.dead,
            handled=counts.handled,
            failed=counts.failed,
            duplicates=counts.duplicates,
            unwanted=counts.unwanted,
            lost=self._lost,
            malformed=counts.malformed,
            undecodable=counts.undecodable,
            relays=keeping.relays,
        )

    @property
    def _lost(self) -> int:
        if self._subscriber is None:
            return 0
        stats = self._subscriber.stats
        return stats.lost + stats.dropped

    def start(self) -> None:
        """Begin to listen; a second time is a no-op.

        Raises:
            ClosedError: after `stop()`.
        """
        with self._lock:
            self._check_open()
            if self._listening:
                return
            self._listening = True
            if self._discovers:
                self._subscriber = self._node.add_subscriber(
                    TOPIC, self._receiving.on_published, queue=MOST_WAITING
                )
            self._worker.start()
            if self._receiving.callbacks:
                self._subscriptions.bind()

    def stop(self, timeout: float | None = None) -> int:
        """Stop: hand over to a relay what is kept here, and close everything; a second time is a no-op.

        What is left then is in the log with its number. In a callback it returns 0 at once, and the messenger
        stops when the callback has returned.

        Args:
            timeout: seconds to wait at most for a relay or somebody who listens to take what is kept here,
                also if nobody is there yet. None: `send_timeout` if somebody is there, else no time.

        Returns:
            How many messages with `ack=1` are left: lost with this program, or waiting in `store`.
        """
        wait_s = self._timeout_s if timeout is None else _check_seconds("timeout", timeout)
        if self._worker.is_current:
            threading.Thread(target=self.stop, args=(timeout,), name=f"colugo {self.name} stop").start()
            return 0
        with self._lock:
            again, self._closing = self._closing, True
            if not again:
                self._stopping = threading.get_ident()
        if again:
            if self._stopping != threading.get_ident():  # else a signal's handler has interrupted it
                self._stopped.wait()
            return self._left
        try:  # without the lock: a callback that wants it has to be told that this has begun
            meeting_s = self._keeping.meeting_s if timeout is None else wait_s
            self._node.run(self._keeping.finish(wait_s, meeting_s))
        except ClosedError:  # its node was stopped by somebody else
            self._say("the node had been stopped")
        finally:  # also by Ctrl-C: nobody else would end it
            self._left = self._keeping.kept
            self._end()
        return self._left

    def stopped(self) -> bool:
        """Whether `stop()` has done its work."""
        return self._stopped.is_set()

    def join(self, timeout: float | None = None) -> bool:
        """Wait until the messenger has been stopped; whether it has.

        Args:
            timeout: seconds to wait at most; None for no limit.
        """
        return self._stopped.wait(timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    # --- messages

    def send_message(self, name: str, payload: Any, ack: int = 0) -> None:
        """Send a message to all who have subscribed to its name.

        Args:
            name: any text without `|`, 1 to 250 bytes of UTF-8.
            payload: what the codec takes.
            ack: 0: who listens now gets it; if nobody does, it is gone. 1: it is stored when this returns, at
                a relay if there is one, and else here, and kept until a callback has returned from it.

        Raises:
            ConfigurationError: if the name breaks the rules, or `ack` is neither 0 nor 1.
            EncodeError: if the codec cannot take the payload.
            MessageTooLargeError: if it is over 64 MiB.
            NotStoredError: if a message with `ack=1` could not be stored anywhere, after all tries.
            RelayError: if the relay at `server_address` has not taken the message, after all tries.
            ClosedError: after `stop()`.
        """
        if ack not in (0, 1):
            raise ConfigurationError(f"ack is 0 or 1, not {ack!r}")
        envelope = seal(check_name(name), payload, int(ack), self._codec)
        self._check_open()
        self._say(f"sending {name!r}, ack={int(ack)}")
        if ack:
            self._node.run(self._keep(envelope))
        elif self._publisher is None:
            self._node.run(self._keeping.forward(envelope))
            self._published += 1
        else:
            self._stopped.wait(self._meeting_s)
            self._publisher.send(to_bytes(envelope))
            self._published += 1

    def subscribe(self, name: str, callback: Callable[..., Any]) -> None:
        """Call back for the messages of a name; a second time, with another callback.

        Before `start()` it is noted, and begins then.
        What was sent with `ack=1` and nobody has had comes first. A message with `ack=1` whose callback has
        raised comes again, up to ten times with growing pauses.

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
            raise ConfigurationError(f"a messenger's callback is a plain function, not {callback!r}")
        count = count_parameters(callback, f"callback of {name!r}", 1, 2)
        with self._lock:
            self._check_open()
            known = name in self._receiving.callbacks
            self._receiving.callbacks[name] = callback, count
            if not known:
                try:
                    self._bind()
                except ConfigurationError:
                    del self._receiving.callbacks[name]
                    raise

    def unsubscribe(self, name: str) -> None:
        """Call back no more for a name; what is kept of it waits for others.

        Args:
            name: as it was given to `subscribe`.

        Raises:
            ConfigurationError: if it has not been subscribed to.
            ClosedError: after `stop()`.
        """
        with self._lock:
            self._check_open()
            if self._receiving.callbacks.pop(name, None) is None:
                raise ConfigurationError(f"nobody here has subscribed to {name!r}")
            self._bind()

    # --- within

    async def _keep(self, envelope: Any) -> None:
        if self._discovers and not self._keeping.relays and self._meeting_s > 0:
            await self._keeping.meet_relay(self._meeting_s)
        await self._keeping.keep(envelope)

    @property
    def _meeting_s(self) -> float:
        """How much longer to wait for others to be discovered, seconds."""
        return max(0.0, self._born + MEETING_S - time.monotonic())

    def _end(self) -> None:
        try:
            self._running.close()
            if not self._node._runtime.closed:  # noqa: SLF001 - it never ran
                self._node.stop()
        finally:
            if self._listening and not self._worker.close():
                self._node.logger.warning(
                    "a callback still runs: the program ends when it returns (the thread %r)",
                    self._worker.name,
                )
            self._stopped.set()
            atexit.unregister(self.stop)

    def _check_open(self) -> None:
        if self._closing:
            raise ClosedError(f"the messenger {self._node.name!r} has been stopped")

    def _bind(self) -> None:
        if self._listening:
            self._subscriptions.bind()
        else:
            self._subscriptions.patterns()  # so that too many are refused now

    def _say(self, text: str) -> None:
        self._node.logger.debug("%s", text)
        if self._verbose:
            print(f"{self._node.name}: {text}", flush=True)  # noqa: T201 - that is what verbose is for


def _check_seconds(what: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < _LONGEST_S:
        raise ConfigurationError(f"{what} is a number of seconds above 0, not {value!r}")
    return float(value)

"""The messenger: named messages for scripts and threads, without a loop in sight."""

import asyncio
import atexit
import inspect
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from os import PathLike
from typing import TYPE_CHECKING, Any, Self

from colugo.errors import ClosedError, ConfigurationError
from colugo.messenger.keeping import Keeping, relay_endpoint
from colugo.messenger.message import check_name, seal, to_bytes
from colugo.messenger.receiving import Receiving
from colugo.messenger.wording import GIVEN_TOPIC, MEETING_S, SEND_PORT, SUB_PORT, TOPIC, passing_key
from colugo.messenger.worker import Worker
from colugo.node import Node
from colugo.patterns.base import check_count
from colugo.patterns.callbacks import count_parameters
from colugo.protocol.bindings import Bindings, exact
from colugo.protocol.codecs import resolve_codec

if TYPE_CHECKING:
    from colugo.patterns.consumer import Consumer

_LONGEST_S = 1e9


@dataclass(frozen=True, slots=True)
class MessengerStats:
    """What a messenger has done.

    Attributes:
        published: messages with `ack=0` that were sent.
        stored: messages with `ack=1` that were stored, here or at a relay.
        handed_over: of those stored here, how many a relay has taken over since.
        kept: how many are stored here now, and wait for somebody.
        dead: how many of them were given up, after ten tries in one process.
        handled: messages that a callback has returned from.
        failed: calls of callbacks that raised.
        duplicates: messages that came again, though a callback had handled them; they were not handed over.
        unwanted: messages that came when their name's subscription had ended.
        malformed: what was no message, or had been changed on its way (its checksum did not fit).
        undecodable: messages of another codec.
        relays: how many relays are connected.
    """

    published: int
    stored: int
    handed_over: int
    kept: int
    dead: int
    handled: int
    failed: int
    duplicates: int
    unwanted: int
    malformed: int
    undecodable: int
    relays: int


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
        auto_start: whether to listen from now on, so that `subscribe` can be used; False for programs that
            only send.
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
        send_to, self._hear_from = None, None
        if server_address is not None:
            send_to = relay_endpoint(server_address, send_port)
            self._hear_from = relay_endpoint(server_address, sub_port)
        self._lock = threading.RLock()
        self._stopped = threading.Event()
        self._closing = self._listening = False
        self._left = 0
        self._consumer: Consumer | None = None
        self._published = 0
        self._worker = Worker(f"colugo {name} callbacks", self.stop)
        self._receiving = Receiving(self._worker, self._codec, self._say)
        self._node = Node(name, realm=realm)
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
            malformed=counts.malformed,
            undecodable=counts.undecodable,
            relays=keeping.relays,
        )

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
            if self._hear_from is None:
                self._node.add_subscriber(TOPIC, self._receiving.on_published)
            self._worker.start()

    def stop(self, timeout: float | None = None) -> int:
        """Stop: hand over to a relay what is kept here, and close everything; a second time is a no-op.

        A message that is kept here waits so long for a relay, or for somebody who listens now. If neither is
        there, nobody waits. What is left then is in the log with its number. In a callback it returns 0 at
        once, and the messenger stops when the callback has returned.

        Args:
            timeout: seconds to wait at most; None for `send_timeout`.

        Returns:
            How many messages with `ack=1` are left: lost with this program, or waiting in `store`.
        """
        wait_s = self._timeout_s if timeout is None else _check_seconds("timeout", timeout)
        if self._worker.is_current:
            threading.Thread(target=self.stop, args=(wait_s,), name=f"colugo {self.name} stop").start()
            return 0
        with self._lock:
            if self._closing:
                return self._left
            self._closing = True
            try:
                self._node.run(self._keeping.finish(wait_s))
            except ClosedError:  # its node was stopped by somebody else
                self._say("the node had been stopped")
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

        What was sent with `ack=1` and nobody has had comes first. A message with `ack=1` whose callback has
        raised comes again, up to ten times with growing pauses.

        Args:
            name: as of `send_message`.
            callback: `callback(payload, message)` or `callback(payload)`, a plain function; the message has
                `name`, `payload`, `ack`, `timestamp` (seconds since 1970), `checksum` and `id`.

        Raises:
            ConfigurationError: if the name breaks the rules, the callback cannot be called so, or there are
                more than 1,000 names (500 with `server_address`).
            ClosedError: before `start()` and after `stop()`.
        """
        check_name(name)
        if not callable(callback) or inspect.iscoroutinefunction(callback):
            raise ConfigurationError(f"a messenger's callback is a plain function, not {callback!r}")
        count = count_parameters(callback, f"callback of {name!r}", 1, 2)
        with self._lock:
            self._check_listening()
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
            ClosedError: before `start()` and after `stop()`.
        """
        with self._lock:
            self._check_listening()
            if self._receiving.callbacks.pop(name, None) is None:
                raise ConfigurationError(f"nobody here has subscribed to {name!r}")
            self._bind()

    # --- within

    def _bind(self) -> None:
        """Let the consumer bind to the names that are subscribed to."""
        names = list(self._receiving.callbacks)
        keys = [*names, *map(passing_key, names)] if self._hear_from else names
        bindings = Bindings(map(exact, keys)).patterns if keys else ()
        self._node.run(self._bind_to(bindings))
        if (
            bindings and self._hear_from and not self._worker.is_current
        ):  # there, it is not done before the end
            self._node.run(self._joined())

    async def _bind_to(self, bindings: tuple[str, ...]) -> None:
        def bind() -> None:
            if not bindings:
                if self._consumer is not None:
                    self._consumer.close()
                self._consumer = None
            elif self._consumer is not None:
                self._consumer.rebind(bindings)
            else:
                self._consumer = self._node.add_consumer(
                    GIVEN_TOPIC if self._hear_from else TOPIC,
                    self._receiving.on_delivery,
                    bindings=bindings,
                    durable=False,
                    connect=[self._hear_from] if self._hear_from else [],
                )

        self._receiving.when_settled(bind)

    async def _joined(self) -> None:
        """Return when the relay knows what is wanted, so that what is sent now is heard; or later."""
        if self._consumer is None:  # it is made when a callback has returned
            return
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._consumer.ready()
        except TimeoutError:
            self._say("the relay is not connected; it is heard as soon as it is")

    async def _keep(self, envelope: Any) -> None:
        if self._hear_from is None and not self._keeping.relays and self._meeting_s > 0:
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

    def _check_listening(self) -> None:
        self._check_open()
        if not self._listening:
            raise ClosedError(f"the messenger {self._node.name!r} does not listen: call start() first")

    def _say(self, text: str) -> None:
        self._node.logger.debug("%s", text)
        if self._verbose:
            print(f"{self._node.name}: {text}", flush=True)  # noqa: T201 - that is what verbose is for


def _check_seconds(what: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < _LONGEST_S:
        raise ConfigurationError(f"{what} is a number of seconds above 0, not {value!r}")
    return float(value)

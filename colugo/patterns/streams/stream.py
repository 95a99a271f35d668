"""The producing side of streams: messages that are kept until they are acknowledged."""

import asyncio
import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable, Iterable
from os import PathLike
from pathlib import Path
from typing import Any, Literal

import zmq

from colugo.errors import (
    ClosedError,
    ConfigurationError,
    FrameError,
    LifecycleError,
    StoreError,
    StreamFullError,
)
from colugo.net.binding import Binding
from colugo.net.runtime import Runtime
from colugo.patterns.base import Part, check_choice, check_count, check_delay_ms, check_size
from colugo.patterns.callbacks import optional_handler
from colugo.patterns.gate import Gate
from colugo.patterns.streams.browse import KeptMessage, MessageBrowser
from colugo.patterns.streams.dead_letters import DeadLetters
from colugo.patterns.streams.delivery_scheduler import DeliveryScheduler
from colugo.patterns.streams.gossip import StreamGossip
from colugo.patterns.streams.intake import FullPolicy, StreamLimits
from colugo.patterns.streams.retention import AckPolicy
from colugo.patterns.streams.sessions import Sessions
from colugo.patterns.streams.stream_stats import GroupStats, StreamStats, group_stats
from colugo.protocol.advertisement import SocketKind
from colugo.protocol.codecs import resolve_codec
from colugo.protocol.description.stream_descriptions import GroupDescription, StreamDescription
from colugo.protocol.frames import ID_BYTES
from colugo.protocol.streams.attempts import DeliveryRules
from colugo.protocol.streams.joining import MAX_ACK_TIMEOUT_MS, StreamOrder
from colugo.protocol.streams.message_parts import check_group, check_key, pack_headers
from colugo.protocol.streams.stream_message import FLAG_TEXT, StreamMessage, number_of
from colugo.protocol.topics import check_topic
from colugo.store.memory_store import MemoryStore
from colugo.store.sqlite.sqlite_store import SqliteStore

DEFAULT_MAX_MESSAGES = 1_000_000
DEFAULT_STREAM_BYTES = 1024 * 1024 * 1024
DEFAULT_ACK_TIMEOUT_MS = 30_000
DEFAULT_MAX_DELIVER = 2
DEFAULT_RETRY_DELAY_MS = 1_000
_FINISH_S = 0.5
"""The longest time that a closing stream waits for acknowledgements of messages in flight."""
_REJECTED_S = 0.0002
"""The pause of a thread whose message is rejected. Without it, one that retries at once would hold the GIL
for 5 ms (`sys.setswitchinterval`) whenever the loop releases it, which is several times a statement."""

Durability = Literal["full", "os"]
_Place = str | PathLike[str] | SqliteStore | None


class Stream(Part):
    """A stream of messages that are kept until they are acknowledged; made by `Node.add_stream`."""

    def __init__(
        self,
        runtime: Runtime,
        topic: str,
        *,
        store: _Place = None,
        durability: Durability = "full",
        ack: AckPolicy = "all",
        groups: Iterable[str] = (),
        codec: Any = None,
        max_messages: int = DEFAULT_MAX_MESSAGES,
        max_bytes: int = DEFAULT_STREAM_BYTES,
        max_age_ms: int | None = None,
        full: FullPolicy = "reject",
        order: StreamOrder = "key",
        max_deliver: int = DEFAULT_MAX_DELIVER,
        ack_timeout_ms: int = DEFAULT_ACK_TIMEOUT_MS,
        retry_delay_ms: int = DEFAULT_RETRY_DELAY_MS,
        unrouted_ms: float = 0,
        on_unrouted: Callable[..., Any] | None = None,
        port: int | None = None,
    ) -> None:
        self.topic = check_topic(topic)
        super().__init__(runtime)
        if isinstance(groups, str):
            raise ConfigurationError(f"groups= takes a list of names: write [{groups!r}]")
        declared = [check_group(name) for name in groups]
        check_choice("ack", ack, AckPolicy)
        check_choice("durability", durability, Durability)
        check_choice("order", order, StreamOrder)
        check_delay_ms(unrouted_ms, least=0, what="unrouted_ms")
        self._on_unrouted = optional_handler(runtime, on_unrouted, f"on_unrouted of {topic}", most=1)
        rules = _rules(max_deliver, ack_timeout_ms, retry_delay_ms, order)
        limits = StreamLimits(max_messages, max_bytes, max_age_ms, full)
        self.ack = ack
        self._codec = resolve_codec(codec)
        self._limit = min(runtime.sockets.max_message_bytes, limits.max_bytes)
        self._store = _store_at(store, topic, durability, runtime.logger)
        self._path = None if isinstance(self._store, MemoryStore) else os.fspath(self._store.path)
        self._wake_requested = threading.Event()
        self._room_lock = asyncio.Lock() if full == "wait" else None
        self._gate = Gate(f"the stream {topic}")
        with contextlib.ExitStack() as on_error:
            self._socket = on_error.enter_context(contextlib.closing(runtime.sockets.router()))
            self._socket.set(zmq.SNDHWM, 0)  # prefetch bounds the messages that wait for each consumer
            self._binding = Binding(
                runtime,
                self._socket,
                SocketKind.STREAM,
                topic,
                socket_id=os.urandom(ID_BYTES),
                codec=self._codec.name,
                port=port,
            )
            on_error.callback(self._binding.close)
            opened = self._store.open()
            on_error.pop_all()
        self._scheduler = DeliveryScheduler(runtime, self._store, opened, ack=ack, limits=limits, rules=rules)
        self._sessions = Sessions(
            runtime, topic, self._socket, self._scheduler, gate=self._gate, run_id=self.socket_id
        )
        if unrouted_ms or on_unrouted is not None:
            self._scheduler.return_unrouted(unrouted_ms / 1000, self._return)
        for name in declared:
            if name not in self._scheduler.groups.known:
                self._scheduler.groups.make_group(name, ("#",), durable=True)
        self._prefix = f"{opened.stream_id.hex()}-"
        self.dead_letters = DeadLetters(self._scheduler, self._store, self._codec, runtime.logger)
        """The dead letters of all groups: to be listed, resurrected and purged."""
        self._browser = MessageBrowser(self._scheduler, self._store, self._codec)
        self._gossip = StreamGossip(runtime, topic, self._binding.advertisement, self._scheduler.groups)
        if opened.corrupt:
            text = "the store %s has set aside %d damaged messages; see colugo stream salvage"
            runtime.logger.error(text, self._path, opened.corrupt)
        runtime.when_open(self._open)

    @property
    def socket_id(self) -> bytes:
        """The id in its advertisement: 8 bytes, new each time a stream is made, even with the same store."""
        return self._binding.advertisement.socket_id

    @property
    def endpoints(self) -> list[str]:
        """The endpoints that it is bound to, tcp first, then ipc; for a consumer's `connect=`."""
        return self._binding.endpoints

    @property
    def stream_id(self) -> str:
        """The prefix of the ids of its messages; it stays the same as long as the store exists."""
        return self._scheduler.stream_id.hex()

    @property
    def consumers(self) -> int:
        """The number of consumers that are connected."""
        return len(self._sessions)

    @property
    def store(self) -> str | None:
        """The path of the store's file; None if messages are kept in memory."""
        return self._path

    @property
    def stats(self) -> StreamStats:
        """The counters since the stream was made, and the sizes now."""
        scheduler = self._scheduler
        return StreamStats(
            sent=scheduler.intake.sent,
            messages=scheduler.intake.count,
            bytes=scheduler.intake.size,
            dead=scheduler.intake.dead,
            rejected=scheduler.intake.rejected,
            dropped=scheduler.dropped,
            expired=scheduler.expired,
            unrouted=scheduler.groups.retention.unrouted,
            malformed=self._sessions.malformed,
            unknown=scheduler.unknown,
            consumers=self.consumers,
        )

    @property
    def groups(self) -> dict[str, GroupStats]:
        """The known consumer groups, by name."""
        scheduler = self._scheduler
        return {name: group_stats(group, scheduler) for name, group in scheduler.groups.known.items()}

    def describe(self) -> object:
        """Return the description of the stream for its node's description."""
        totals = self._scheduler.groups.totals
        return StreamDescription.of(
            self.stats,
            topic=self.topic,
            socket_id=self.socket_id.hex(),
            stream_id=self.stream_id,
            codec=self._codec.name,
            endpoints=self.endpoints,
            store="" if self._path is None else str(Path(self._path).absolute()),
            ack=self.ack,
            groups=[GroupDescription.of(group) for group in self.groups.values()],
            delivered=totals.delivered,
            redelivered=totals.redelivered,
            acknowledged=totals.acknowledged,
            dead_lettered=totals.dead,
        )

    async def messages(self, after: str | None = None, limit: int = 100) -> list[KeptMessage]:
        """Return a page of the messages that are kept, the oldest first, without dead letters.

        Args:
            after: the id of the last message of the page before; None for the first page.
            limit: the highest number of messages. A page of large messages has fewer, but at least one; an
                empty page is the end.

        Raises:
            ConfigurationError: if `after` is not an id of this stream.
            StoreError: if the store cannot be read.
        """
        self._check_open()
        self._check_thread()
        return await self._browser.page(after, limit)

    async def message(self, id: str) -> KeptMessage | None:  # noqa: A002 - as it is called everywhere
        """Return one of the messages that are kept; None if it is not, such as after its acknowledgement.

        Args:
            id: its id.

        Raises:
            ConfigurationError: if that is not an id of this stream.
            StoreError: if the store cannot be read.
        """
        self._check_open()
        self._check_thread()
        return await self._browser.get(id)

    def send(self, message: Any, key: str = "", headers: dict[str, Any] | None = None) -> str:
        """Send a message, which is stored and delivered; from any thread.

        All messages sent in one turn of the loop share one transaction of the store. If the program ends
        before it is committed, they are lost. Use `send_wait`, or later `stored`, to wait for it.

        Args:
            message: str, bytes, or an object that the codec can encode.
            key: words divided by `.`, at most 255 bytes. Consumers bind to patterns of keys, and each group
                handles the messages of one key in order, except with `order="none"`. "" for none.
            headers: further values; any that msgpack can encode.

        Returns:
            The message's id, as consumers see it.

        Raises:
            EncodeError: if the codec cannot encode the message, or msgpack the headers.
            MessageTooLargeError: if it exceeds the node's `max_message_bytes`, or the stream's `max_bytes`.
            ConfigurationError: if the key is too long, or not a str.
            StreamFullError: if the stream is full, except with `full="drop-oldest"`; or if too many messages
                wait to be written. On other threads than the node's, this and `StoreError` are raised after a
                pause of 0.2 ms, so that a thread can retry at once.
            StoreError: if the store cannot be written to at present.
            ClosedError: after the stream has been closed.
        """
        return f"{self._prefix}{self._take(message, key, headers)}"

    async def send_wait(self, message: Any, key: str = "", headers: dict[str, Any] | None = None) -> str:
        """Send a message, and wait until it is stored.

        With `full="wait"`, callers wait in order while the stream is full (backpressure). If you cancel the
        call meanwhile, for instance with `asyncio.timeout`, the message is not sent.
        With `store=` and `durability="full"`, the message has been synced to disk on return (SQLite,
        `synchronous=FULL`).

        Args:
            message: as in `send`.
            key: as in `send`.
            headers: as in `send`.

        Returns:
            The message's id.

        Raises:
            StoreError: if it could not be stored; it is not sent later.
            ClosedError: if the stream is closed, also during the wait.
            Exception: the others of `send`.
        """
        if threading.get_ident() != self._runtime.owner:
            self._check_thread()
        if self._room_lock is None:
            seq = self._take(message, key, headers)
        else:
            async with self._room_lock:
                seq = await self._take_with_room(message, key, headers)
        await self._scheduler.writer.written(seq)
        return f"{self._prefix}{seq}"

    async def stored(self, id: str) -> None:  # noqa: A002 - as it is called everywhere
        """Wait until a message is stored, as `send_wait` does; those sent before it are stored earlier.

        Args:
            id: its id, as `send` returned it.

        Raises:
            StoreError: if it could not be stored; it is not sent later.
            ConfigurationError: if the id is not one that this stream has given to a message.
            ClosedError: if the stream is closed first.
        """
        self._check_open()
        self._check_thread()
        seq = number_of(id, self._scheduler.stream_id)
        if seq > self._scheduler.intake.last:
            raise ConfigurationError(f"the stream {self.topic} has sent no message {id}")
        await self._scheduler.writer.written(seq)

    async def drained(self) -> None:
        """Wait until every message has been acknowledged or become a dead letter.

        Raises:
            ClosedError: if the stream is closed first.
        """
        self._check_open()
        self._check_thread()
        await self._scheduler.writer.drained()

    async def ready(self, n: int = 1) -> None:
        """Wait until at least n consumers are connected.

        Args:
            n: the number of consumers.

        Raises:
            ClosedError: if the stream is closed first.
        """
        self._check_thread()
        await self._gate.wait(n)

    def listeners(self, key: str = "") -> int:
        """Return the number of groups with a connected consumer that are bound to a key.

        Args:
            key: as in `send`.
        """
        groups = self._scheduler.groups.known.values()
        return sum(group.present and group.bindings.matches(key) for group in groups)

    def forget(self, group: str) -> bool:
        """Forget a consumer group: keep no more messages for it.

        The other streams of the topic forget it, too. A consumer that joins the group makes it known again.

        Args:
            group: its name.

        Returns:
            True if this stream knew the group.

        Raises:
            LifecycleError: if consumers of the group are connected.
            ConfigurationError: if that is not a valid name of a group.
        """
        self._check_open()
        self._check_thread()
        known = self._scheduler.groups.known.get(check_group(group))
        if known is not None and known.present:
            raise LifecycleError(
                f"the group {group!r} has {len(known.queue.members)} consumers at the stream {self.topic}: "
                "close them before you forget it"
            )
        return self._scheduler.groups.forget(group)

    def exchange_groups(self, news: Any) -> list[dict[str, Any]]:
        """Merge the durable groups that another stream of the topic knows into those of this one.

        Args:
            news: the return value of its `exchange_groups`.

        Returns:
            The groups that this stream knows then, as JSON values.

        Raises:
            ConfigurationError: if that is not a list of groups, or a name or binding is not valid.
        """
        try:
            self._gossip.merge(news)
        except FrameError as error:
            raise ConfigurationError(str(error)) from error
        return self._gossip.groups()

    def quiesce(self) -> None:
        """Stop delivering, as the node is about to stop."""
        self._scheduler.quiesce()

    async def finish(self) -> None:
        """Write all changes, and wait briefly for acknowledgements of messages in flight."""
        await self._scheduler.finish(_FINISH_S)

    def _take(self, message: Any, key: str, headers: dict[str, Any] | None) -> int:
        if self._closed:
            self._check_open()
        parts = self._pack(message, key, headers)
        try:
            seq = self._scheduler.intake.add(*parts)
        except (StreamFullError, StoreError):
            if threading.get_ident() != self._runtime.owner:
                time.sleep(_REJECTED_S)
            raise
        self._request_write()
        return seq

    async def _take_with_room(self, message: Any, key: str, headers: dict[str, Any] | None) -> int:
        parts = self._pack(message, key, headers)
        intake = self._scheduler.intake
        size = sum(map(len, (key.encode(), *parts[1:3])))
        while True:
            await self._scheduler.writer.wait_for_room(size)
            self._check_open()
            try:
                seq = intake.add(*parts)
            except StreamFullError:
                if size > intake.limits.max_bytes:
                    raise
            else:  # else another thread took the room first
                self._request_write()
                return seq

    def _pack(self, message: Any, key: str, headers: dict[str, Any] | None) -> tuple[str, bytes, bytes, int]:
        """Return the key, packed headers, encoded payload and flags of a message."""
        payload, text = self._codec.pack(message)
        packed = pack_headers(headers) if headers else b""
        size = len(payload) + len(packed)
        if size > self._limit:
            check_size(payload, self._limit - len(packed))
        if key or key != "":
            check_key(key)
        data = payload if type(payload) is bytes else bytes(payload)
        return key, packed, data, FLAG_TEXT if text else 0

    def _return(self, message: StreamMessage) -> None:
        if self._on_unrouted is not None:
            self._on_unrouted.run(self._browser.kept(message))

    def _request_write(self) -> None:
        if threading.get_ident() == self._runtime.owner:
            self._scheduler.wake()
        elif not self._wake_requested.is_set():
            self._wake_requested.set()
            self._runtime.submit(self._wake)

    def _wake(self) -> None:
        self._wake_requested.clear()
        self._scheduler.wake()

    def _open(self) -> None:
        if not self._closed:
            self._sessions.open()
            self._scheduler.open(self._sessions)
            self._gossip.open()

    def _shut(self) -> None:
        self._gossip.close()
        self._binding.close()
        self._scheduler.close(ClosedError(f"the stream {self.topic} is closed"))
        self._gate.close()
        self._sessions.close()
        self._store.close()
        self._socket.close()
        unwritten = self._scheduler.intake.unwritten
        if self._path is None and (self._scheduler.intake.count or unwritten):
            self._warn_lost("not acknowledged by all groups", self._scheduler.intake.count + unwritten)
        elif unwritten:
            self._warn_lost("not stored", unwritten)

    def _warn_lost(self, why: str, number: int) -> None:
        plural = "" if number == 1 else "s"
        text = "the stream %s is closed; %d message%s %s: lost"
        self._runtime.logger.warning(text, self.topic, number, plural, why)


def _rules(max_deliver: int, ack_timeout_ms: int, retry_delay_ms: int, order: StreamOrder) -> DeliveryRules:
    if check_count("ack_timeout_ms", ack_timeout_ms) > MAX_ACK_TIMEOUT_MS:
        raise ConfigurationError(f"ack_timeout_ms must be ≤ {MAX_ACK_TIMEOUT_MS}, not {ack_timeout_ms}")
    check_delay_ms(retry_delay_ms, least=0, what="retry_delay_ms")
    max_deliver = check_count("max_deliver", max_deliver)
    ordered = order == "key"
    return DeliveryRules(max_deliver, ack_timeout_ms / 1000, retry_delay_ms / 1000, ordered=ordered)


def _store_at(
    place: _Place, topic: str, durability: Durability, logger: logging.Logger
) -> MemoryStore | SqliteStore:
    if place is None:
        return MemoryStore()
    if isinstance(place, SqliteStore):
        return place
    if os.fspath(place) == "":
        raise ConfigurationError("store= must be the path of a file, not ''; None keeps messages in memory")
    return SqliteStore(place, topic=topic, durability=durability, logger=logger)

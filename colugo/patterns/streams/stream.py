"""The producing side of streams: messages that are kept until somebody has them."""

import asyncio
import logging
import os
import threading
import time
from collections.abc import Iterable
from os import PathLike
from pathlib import Path
from typing import Any, Literal, get_args

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
from colugo.patterns.base import Part, check_count, check_delay_ms, check_size
from colugo.patterns.gate import Gate
from colugo.patterns.streams.browse import KeptMessage, MessageBrowser
from colugo.patterns.streams.dead_letters import DeadLetters
from colugo.patterns.streams.delivery_scheduler import DeliveryScheduler
from colugo.patterns.streams.gossip import StreamGossip
from colugo.patterns.streams.groups import AckPolicy
from colugo.patterns.streams.intake import FullPolicy, StreamLimits
from colugo.patterns.streams.sessions import Sessions
from colugo.patterns.streams.stream_stats import GroupStats, StreamStats, group_stats
from colugo.protocol.advertisement import SocketKind
from colugo.protocol.codecs import resolve_codec
from colugo.protocol.description.stream_descriptions import GroupDescription, StreamDescription
from colugo.protocol.frames import ID_BYTES
from colugo.protocol.streams.attempts import DeliveryRules
from colugo.protocol.streams.joining import MAX_ACK_TIMEOUT_MS
from colugo.protocol.streams.message_parts import check_group, check_key, pack_headers
from colugo.protocol.streams.stream_message import FLAG_TEXT
from colugo.protocol.topics import check_topic
from colugo.store.memory_store import MemoryStore
from colugo.store.sqlite.sqlite_store import SqliteStore

DEFAULT_MAX_MESSAGES = 1_000_000
DEFAULT_STREAM_BYTES = 1024 * 1024 * 1024
DEFAULT_ACK_TIMEOUT_MS = 30_000
DEFAULT_MAX_DELIVER = 2
DEFAULT_RETRY_DELAY_MS = 1_000
_SETTLE_S = 0.5
"""How long a stream that closes waits for acknowledgements of what consumers have."""
_REFUSED_S = 0.0002
"""How long a thread pauses whose message is refused. One that tried again without a pause would have Python's
lock for 5 ms (`sys.setswitchinterval`) whenever the loop gives it up, which is several times a statement."""

Durability = Literal["full", "os"]


class Stream(Part):
    """Keeps messages until the consumer groups have acknowledged them; made by `Node.add_stream`."""

    def __init__(
        self,
        runtime: Runtime,
        topic: str,
        *,
        store: str | PathLike[str] | SqliteStore | None = None,
        durability: Durability = "full",
        ack: AckPolicy = "all",
        groups: Iterable[str] = (),
        codec: Any = None,
        max_messages: int = DEFAULT_MAX_MESSAGES,
        max_bytes: int = DEFAULT_STREAM_BYTES,
        max_age_ms: int | None = None,
        full: FullPolicy = "reject",
        max_deliver: int = DEFAULT_MAX_DELIVER,
        ack_timeout_ms: int = DEFAULT_ACK_TIMEOUT_MS,
        retry_delay_ms: int = DEFAULT_RETRY_DELAY_MS,
        port: int | None = None,
    ) -> None:
        self.topic = check_topic(topic)
        super().__init__(runtime)
        declared = [check_group(name) for name in _as_groups(groups)]
        _check_choice("ack", ack, AckPolicy)
        _check_choice("full", full, FullPolicy)
        _check_choice("durability", durability, Durability)
        if check_count("ack_timeout_ms", ack_timeout_ms) > MAX_ACK_TIMEOUT_MS:
            raise ConfigurationError(f"ack_timeout_ms is at most {MAX_ACK_TIMEOUT_MS}, not {ack_timeout_ms}")
        check_delay_ms(retry_delay_ms, least=0, what="retry_delay_ms")
        if max_age_ms is not None:
            check_count("max_age_ms", max_age_ms)
        limits = StreamLimits(
            check_count("max_messages", max_messages), check_count("max_bytes", max_bytes), max_age_ms, full
        )
        rules = DeliveryRules(
            check_count("max_deliver", max_deliver), ack_timeout_ms / 1000, retry_delay_ms / 1000
        )
        self.ack = ack
        self._codec = resolve_codec(codec)
        self._limit = runtime.sockets.max_message_bytes
        kept = _store_at(store, topic, durability, runtime.logger)
        self._path = None if isinstance(kept, MemoryStore) else os.fspath(kept.path)
        self._poked = threading.Event()
        self._entrance = asyncio.Lock() if full == "wait" else None
        self._gate = Gate(f"the stream {topic}")
        self._socket = runtime.sockets.router()
        self._socket.set(zmq.SNDHWM, 0)  # prefetch bounds what waits for each consumer
        try:
            self._binding = Binding(
                runtime,
                self._socket,
                SocketKind.STREAM,
                topic,
                socket_id=os.urandom(ID_BYTES),
                codec=self._codec.name,
                port=port,
            )
            opened = kept.open()
        except BaseException:
            self._socket.close()
            if "_binding" in self.__dict__:
                self._binding.close()
            raise
        self._store = kept
        self._sessions = Sessions(
            runtime, topic, self._socket, run_id=self.socket_id, on_change=self._on_sessions
        )
        self._scheduler = DeliveryScheduler(
            runtime,
            kept,
            opened,
            ack=ack,
            limits=limits,
            rules=rules,
            hand_out=self._sessions.hand_out,
            nudge=self._sessions.nudge,
        )
        for name in declared:
            if name not in self._scheduler.groups.known:
                self._scheduler.groups.make_group(name, ("#",), durable=True)
        self._prefix = f"{opened.stream_id.hex()}-"
        self.dead_letters = DeadLetters(self._scheduler, kept, self._codec, runtime.logger)
        """What nobody could handle: to be listed, resurrected and purged."""
        self._browser = MessageBrowser(self._scheduler, kept, self._codec)
        self._gossip = StreamGossip(runtime, topic, self._binding.advertisement, self._scheduler)
        if opened.corrupt:
            runtime.logger.error(
                "the store %s: %d messages were damaged; they are set aside, see colugo stream salvage",
                self._path,
                opened.corrupt,
            )
        runtime.when_open(self._open)

    @property
    def socket_id(self) -> bytes:
        """As in its advertisement: 8 bytes, new each time a stream is made, also with the same store."""
        return self._binding.advertisement.socket_id

    @property
    def endpoints(self) -> list[str]:
        """Where it is bound, for consumers that are given one instead of discovering it: tcp, then ipc."""
        return self._binding.endpoints

    @property
    def stream_id(self) -> str:
        """What the ids of its messages begin with; the same as long as its store is there."""
        return self._scheduler.stream_id.hex()

    @property
    def consumers(self) -> int:
        """How many consumers are connected."""
        return len(self._sessions)

    @property
    def store(self) -> str | None:
        """The path of the store's file; None if messages are kept in memory only."""
        return self._path

    @property
    def stats(self) -> StreamStats:
        """Counters so far, and what is kept now."""
        scheduler = self._scheduler
        return StreamStats(
            sent=scheduler.intake.sent,
            messages=scheduler.intake.count,
            bytes=scheduler.intake.size,
            dead=scheduler.intake.dead,
            rejected=scheduler.intake.rejected,
            dropped=scheduler.dropped,
            expired=scheduler.expired,
            unrouted=scheduler.groups.unrouted,
            malformed=self._sessions.malformed,
            unknown=scheduler.unknown,
            consumers=self.consumers,
        )

    @property
    def groups(self) -> dict[str, GroupStats]:
        """The consumer groups that are known, by name."""
        scheduler = self._scheduler
        return {name: group_stats(group, scheduler) for name, group in scheduler.groups.known.items()}

    def describe(self) -> object:
        """Describe it for the node's description."""
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
        """Some of the messages that are kept, the oldest first; dead letters are not among them.

        Args:
            after: the id of the last one of the page before; None for the first page.
            limit: how many at most; they are fewer if they are large, but for the last page never none.

        Raises:
            ConfigurationError: if that is no id of this stream.
            StoreError: if the store cannot be read.
        """
        self._check_open()
        self._check_thread()
        return await self._browser.page(after, limit)

    async def message(self, id: str) -> KeptMessage | None:  # noqa: A002 - as it is called everywhere
        """One of the messages that are kept; None if it is not, such as after everybody has had it.

        Args:
            id: its id.

        Raises:
            ConfigurationError: if that is no id of this stream.
            StoreError: if the store cannot be read.
        """
        self._check_open()
        self._check_thread()
        return await self._browser.get(id)

    def send(self, message: Any, key: str = "", headers: dict[str, Any] | None = None) -> str:
        """Take a message, to be stored and handed out; from any thread.

        Everything that is sent in one turn of the loop is one transaction of the store. If the program ends
        before that is done, the message is lost: `send_wait` returns when it is safe.

        Args:
            message: str, bytes, or what the codec takes.
            key: words divided by `.`, at most 255 bytes: consumers bind to patterns of it, and messages of
                one key are handled in their order within a group. "" for none.
            headers: more to be known of it; what msgpack carries.

        Returns:
            The message's id, which consumers see, too.

        Raises:
            EncodeError: if the codec cannot take the message, or msgpack the headers.
            MessageTooLargeError: if it is over the node's `max_message_bytes`, or the stream's `max_bytes`.
            ConfigurationError: if the key is too long, or no text.
            StreamFullError: if there is no room, but with `full="drop-oldest"`; or if too much waits to be
                written. This and the next come after 0.2 ms on another thread than the node's: it may try
                again at once.
            StoreError: if the store cannot be written to now.
            ClosedError: after the stream has been closed.
        """
        return f"{self._prefix}{self._take(message, key, headers)}"

    async def send_wait(self, message: Any, key: str = "", headers: dict[str, Any] | None = None) -> str:
        """Take a message, and return when it is safely stored.

        With `full="wait"`, those that call it while there is no room wait for it, first come, first served;
        one that is cancelled meanwhile (`asyncio.timeout`) has not been taken.
        With `store=`, and `durability="full"`, it has been synced to disk then (SQLite, `synchronous=FULL`).

        Args:
            message: as in `send`.
            key: as in `send`.
            headers: as in `send`.

        Returns:
            The message's id.

        Raises:
            StoreError: if it could not be stored: it is not sent later, either.
            ClosedError: also if the stream is closed while this waits.
            Exception: what `send` raises.
        """
        if threading.get_ident() != self._runtime.owner:
            self._check_thread()
        if self._entrance is None:
            seq = self._take(message, key, headers)
        else:
            async with self._entrance:
                seq = await self._take_with_room(message, key, headers)
        await self._scheduler.journal.written(seq)
        return f"{self._prefix}{seq}"

    async def drained(self) -> None:
        """Return when every message has been acknowledged (or is a dead letter).

        Raises:
            ClosedError: if the stream is closed first.
        """
        self._check_open()
        self._check_thread()
        await self._scheduler.journal.drained()

    async def ready(self, n: int = 1) -> None:
        """Return when n consumers are connected.

        Args:
            n: how many.

        Raises:
            ClosedError: if the stream is closed first.
        """
        self._check_thread()
        await self._gate.wait(n)

    def listeners(self, key: str = "") -> int:
        """How many groups that have a consumer here now want messages of a key.

        Args:
            key: as in `send`.
        """
        groups = self._scheduler.groups.known.values()
        return sum(group.present and group.bindings.matches(key) for group in groups)

    def forget(self, group: str) -> bool:
        """Forget a consumer group that is gone for good: nothing is kept for it any more.

        The streams of this topic tell each other. If a consumer of the group comes, it is known again.

        Args:
            group: its name.

        Returns:
            Whether it was known here.

        Raises:
            LifecycleError: if it has consumers that are connected: it is not gone.
            ConfigurationError: if that is no name of a group.
        """
        self._check_open()
        self._check_thread()
        known = self._scheduler.groups.known.get(check_group(group))
        if known is not None and known.present:
            raise LifecycleError(
                f"the group {group!r} has {len(known.queue.members)} consumers at the stream {self.topic}: "
                "it can be forgotten when they are closed"
            )
        return self._scheduler.groups.forget(group)

    def exchange_groups(self, news: Any) -> list[dict[str, Any]]:
        """Take in what another stream of the topic knows of consumer groups.

        Args:
            news: what its `exchange_groups` has returned.

        Returns:
            What this one knows then; as JSON has it.

        Raises:
            ConfigurationError: if that is no list of groups, or a name or binding breaks the rules.
        """
        try:
            self._gossip.hear(news)
        except FrameError as error:
            raise ConfigurationError(str(error)) from error
        return self._gossip.tell()

    def quiesce(self) -> None:
        """Take nothing more, hand out nothing more."""
        self._scheduler.quiesce()

    async def finish(self) -> None:
        """Write what has been sent, and take the acknowledgements of what consumers have."""
        await self._scheduler.finish(_SETTLE_S)

    def _take(self, message: Any, key: str, headers: dict[str, Any] | None) -> int:
        if self._closed:
            self._check_open()
        parts = self._pack(message, key, headers)
        try:
            seq = self._scheduler.intake.add(*parts)
        except (StreamFullError, StoreError):
            if threading.get_ident() != self._runtime.owner:
                time.sleep(_REFUSED_S)
            raise
        self._begin()
        return seq

    async def _take_with_room(self, message: Any, key: str, headers: dict[str, Any] | None) -> int:
        parts = self._pack(message, key, headers)
        intake = self._scheduler.intake
        size = sum(map(len, (key.encode(), *parts[1:3])))
        while True:
            await self._scheduler.journal.room(size)
            self._check_open()
            try:
                seq = intake.add(*parts)
            except StreamFullError:
                if size > intake.limits.max_bytes:
                    raise
            else:  # no other thread has taken the room meanwhile
                self._begin()
                return seq

    def _pack(self, message: Any, key: str, headers: dict[str, Any] | None) -> tuple[str, bytes, bytes, int]:
        """What is kept of a message: key, headers, payload and flags."""
        payload, text = self._codec.pack(message)
        packed = pack_headers(headers) if headers else b""
        size = len(payload) + len(packed)
        if size > self._limit or size > self._scheduler.intake.limits.max_bytes:
            check_size(payload, min(self._limit, self._scheduler.intake.limits.max_bytes) - len(packed))
        if key or key != "":
            check_key(key)
        data = payload if type(payload) is bytes else bytes(payload)
        return key, packed, data, FLAG_TEXT if text else 0

    def _begin(self) -> None:
        """Let what was taken be written; from any thread."""
        if threading.get_ident() == self._runtime.owner:
            self._scheduler.begin()
        elif not self._poked.is_set():
            self._poked.set()
            self._runtime.submit(self._poke)

    def _poke(self) -> None:
        self._poked.clear()
        self._scheduler.begin()

    def _open(self) -> None:
        if not self._closed:
            self._sessions.open(self._scheduler)
            self._scheduler.open()
            self._gossip.open()

    def _on_sessions(self) -> None:
        self._gate.set(len(self._sessions))

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
            self._say_lost("what not everybody has had", self._scheduler.intake.count + unwritten)
        elif unwritten:
            self._say_lost("what could not be stored", unwritten)

    def _say_lost(self, what: str, number: int) -> None:
        self._runtime.logger.warning(
            "the stream %s is closed, and %s goes with it: %d message%s",
            self.topic,
            what,
            number,
            "" if number == 1 else "s",
        )


def _as_groups(groups: Iterable[str]) -> list[str]:
    if isinstance(groups, str):
        raise ConfigurationError(f"groups= takes a list of names; write [{groups!r}]")
    return list(groups)


def _store_at(
    place: str | PathLike[str] | SqliteStore | None,
    topic: str,
    durability: Durability,
    logger: logging.Logger,
) -> MemoryStore | SqliteStore:
    if place is None:
        return MemoryStore()
    if isinstance(place, SqliteStore):
        return place
    if os.fspath(place) == "":
        raise ConfigurationError("store= is the path of a file, not ''; None keeps messages in memory")
    return SqliteStore(place, topic=topic, durability=durability, logger=logger)


def _check_choice(what: str, value: object, choices: Any) -> None:
    if value not in get_args(choices):
        known = " or ".join(map(repr, get_args(choices)))
        raise ConfigurationError(f"{what} is {known}, not {value!r}")

"""The relay: a node that takes messages over from programs that exit."""

import asyncio
from functools import partial
from os import PathLike
from typing import Any, Unpack

from colugo.config import NodeOptions
from colugo.errors import ColugoError, DecodeError, StoreError
from colugo.messenger.messenger_stats import RelayStats
from colugo.messenger.named_message import (
    ANSWER,
    MAX_DELIVER,
    PING,
    RELAY_TOPIC,
    SEND_PORT,
    SUB_PORT,
    TOPIC,
    Envelope,
    RecentIds,
    from_bytes,
    passing_key,
)
from colugo.node import Node
from colugo.patterns.base import ThrottledWarnings
from colugo.patterns.pubsub.callback_queue import MessageInfo
from colugo.patterns.requests.reply import Reply
from colugo.patterns.streams.browse import reading
from colugo.patterns.streams.stream import DEFAULT_MAX_MESSAGES
from colugo.protocol.streams.message_parts import unpack_headers
from colugo.protocol.streams.stream_message import StreamMessage

_REMEMBERED = 100_000
_PASSED_ON = 10_000
"""Of the messages with `ack=0`, which are sent again within seconds or never."""
_PAGE = 1000
_PAGE_BYTES = 4 * 1024 * 1024


class Relay(Node):
    """A node that stores messages for messengers and delivers them; run it as any node, or as `colugo relay`.

    Messengers of its realm discover it; others connect to its address, without mDNS.

    Args:
        name: the node's name.
        pub_port: the TCP port of the stream that delivers messages; None for a free one.
        recv_port: the TCP port at which it takes messages; None for a free one.
        persist_file: the path of the file (SQLite) for the messages; None to keep them in memory.
        max_messages: the most messages that it keeps; it refuses more.
        **options: more options of the node: those of `Node`.

    Raises:
        ConfigurationError: if a value cannot work.
        BindError: if a port cannot be had.
        StoreError: if the file cannot be used.
    """

    def __init__(
        self,
        name: str = "relay",
        *,
        pub_port: int | None = SUB_PORT,
        recv_port: int | None = SEND_PORT,
        persist_file: str | PathLike[str] | None = None,
        max_messages: int = DEFAULT_MAX_MESSAGES,
        **options: Unpack[NodeOptions],
    ) -> None:
        super().__init__(name, **options)
        try:
            self.stream = self.add_stream(
                TOPIC,
                store=persist_file,
                ack="any",
                max_messages=max_messages,
                max_deliver=MAX_DELIVER,
                port=pub_port,
            )
            self._server = self.add_reply_server(RELAY_TOPIC, self._on_request, port=recv_port)
            self._publisher = self.add_publisher(TOPIC)
            self.add_subscriber(TOPIC, self._on_published)
        except BaseException:
            self.stop()
            raise
        self._complaints = ThrottledWarnings(self._runtime)
        self._recent = RecentIds(_REMEMBERED)
        self._passed_on = RecentIds(_PASSED_ON)
        self._storing: dict[bytes, asyncio.Future[None]] = {}
        self._loading: asyncio.Future[None] | None = None
        self._taken = self._again = self._passed = self._refused = self._malformed = 0

    @property
    def endpoints(self) -> tuple[list[str], list[str]]:
        """The endpoints at which messages are delivered, and those at which they are taken."""
        return self.stream.endpoints, self._server.endpoints

    @property
    def stats(self) -> RelayStats:
        """The counters so far."""
        return RelayStats(
            taken=self._taken,
            again=self._again,
            passed=self._passed,
            refused=self._refused,
            malformed=self._malformed,
            stream=self.stream.stats,
        )

    async def _on_request(self, body: Any, reply: Reply) -> None:
        if body == PING:
            reply(ANSWER)
            return
        try:
            envelope = from_bytes(body)
        except DecodeError as error:
            self._malformed += 1
            reply.error(error)
            return
        try:
            if envelope.ack:
                await self._take(envelope, body)
            elif envelope.id in self._passed_on:  # the answer was lost
                self._again += 1
            else:
                # first, because it may raise: then the message has reached nobody, and can be sent again
                self._pass_on(envelope, body)
                self._publisher.send(body)
                self._passed_on.add(envelope.id)
        except ColugoError as error:
            self._refused += 1
            self._complaints.warn("taken", f"the message {envelope.name!r} was not taken", error)
            reply.error(error)
        else:
            reply(ANSWER)

    async def _take(self, envelope: Envelope, body: bytes) -> None:
        """Store a message once, however often it is sent."""
        await self._load_ids()
        if envelope.id in self._recent:
            self._again += 1
            return
        storing = self._storing.get(envelope.id)
        if storing is not None:
            self._again += 1
            await asyncio.shield(storing)
            return
        storing = asyncio.ensure_future(self._store(envelope, body))
        self._storing[envelope.id] = storing
        try:
            await asyncio.shield(storing)
        finally:
            del self._storing[envelope.id]

    async def _load_ids(self) -> None:
        """Return when the ids of the messages in the store are loaded."""
        if self._loading is None:
            self._loading = asyncio.ensure_future(self._read_ids())
        try:
            await asyncio.shield(self._loading)
        except StoreError:
            self._loading = None  # the next message tries again
            raise

    async def _store(self, envelope: Envelope, body: bytes) -> None:
        await self.stream.send_wait(body, key=envelope.name, headers={"id": envelope.id})
        self._recent.add(envelope.id)
        self._taken += 1
        self.logger.debug("taken: %r", envelope.name)

    def _pass_on(self, envelope: Envelope, body: bytes) -> None:
        """Pass a message on to subscribers that are connected to the relay only."""
        key = passing_key(envelope.name)
        if self.stream.listeners(key):
            self.stream.send(body, key=key)
            self._passed += 1
            self.logger.debug("passed on: %r", envelope.name)

    def _on_published(self, body: Any, info: MessageInfo) -> None:
        if info.peer.node_id == self.uuid.bytes:
            return
        try:
            envelope = from_bytes(body)
        except DecodeError:
            self._malformed += 1
            return
        try:
            self._pass_on(envelope, body)
        except ColugoError as error:
            self._refused += 1
            self._complaints.warn("passed on", f"the message {envelope.name!r} was not passed on", error)

    async def _read_ids(self) -> None:
        if self.stream.store is None:
            return
        # what is built of nodes may look into them
        store, last = self.stream._store, self.stream._scheduler.intake.last  # noqa: SLF001 - they are one thing
        after = max(0, last - _REMEMBERED)
        while page := await reading(partial(store.read, after, _PAGE, _PAGE_BYTES)):
            after = page[-1].seq
            for stored in page:
                self._recent.add(_id_of(stored))


def _id_of(stored: StreamMessage) -> bytes:
    """Return the messenger's id of a stored message; empty for one that another sender has stored."""
    one = unpack_headers(stored.headers).get("id")
    return one if isinstance(one, bytes) else b""

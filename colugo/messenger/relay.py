"""The relay: takes messages over from programs that end."""

import asyncio
from dataclasses import dataclass
from functools import partial
from os import PathLike
from typing import Any

from colugo.errors import ColugoError, DecodeError, StoreError
from colugo.messenger.named_message import Envelope, from_bytes
from colugo.messenger.names import (
    ANSWER,
    MAX_DELIVER,
    PING,
    RELAY_TOPIC,
    SEND_PORT,
    SUB_PORT,
    TOPIC,
    passing_key,
)
from colugo.messenger.recent import Recent
from colugo.node import Node
from colugo.patterns.base import ThrottledWarnings
from colugo.patterns.pubsub.callback_queue import MessageInfo
from colugo.patterns.requests.reply import Reply
from colugo.patterns.streams.browse import reading
from colugo.patterns.streams.stream import DEFAULT_MAX_MESSAGES
from colugo.patterns.streams.stream_stats import StreamStats
from colugo.protocol.streams.message_parts import unpack_headers
from colugo.protocol.streams.stream_message import StreamMessage

_REMEMBERED = 100_000
_HEARD = 10_000
"""Of the messages with `ack=0`, which are sent again within seconds or never."""
_PAGE = 1000
_PAGE_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class RelayStats:
    """What a relay has done.

    Attributes:
        taken: messages with `ack=1` that it has taken over.
        again: those that it had already, of either kind; they were not taken or passed on once more.
        passed: messages with `ack=0` that it has passed on.
        refused: messages that it could not store.
        malformed: requests that were no message of a messenger.
        stream: of what it keeps.
    """

    taken: int
    again: int
    passed: int
    refused: int
    malformed: int
    stream: StreamStats


class Relay(Node):
    """Takes over what messengers are to keep, and passes it on; run as other nodes are, or as `colugo relay`.

    Messengers of its realm discover it, and those that were given its address reach it without mDNS.

    Args:
        name: what others see.
        pub_port: TCP port of the stream that hands messages out; None for a free one.
        recv_port: TCP port at which messages are taken; None for a free one.
        persist_file: path of the file (SQLite) in which messages are kept; None to keep them in memory.
        max_messages: how many messages are kept; beyond that, the relay takes no more.
        realm: as of `Node`.
        scope: as of `Node`.

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
        realm: str | None = None,
        scope: str | None = None,
    ) -> None:
        super().__init__(name, realm=realm, scope=scope)
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
        self._recent = Recent(_REMEMBERED)
        self._heard = Recent(_HEARD)
        self._storing: dict[bytes, asyncio.Future[None]] = {}
        self._recalled: asyncio.Future[None] | None = None
        self._taken = self._again = self._passed = self._refused = self._malformed = 0

    @property
    def endpoints(self) -> tuple[list[str], list[str]]:
        """Where messages are handed out, and where they are taken."""
        return self.stream.endpoints, self._server.endpoints

    @property
    def stats(self) -> RelayStats:
        """Counters so far."""
        return RelayStats(
            taken=self._taken,
            again=self._again,
            passed=self._passed,
            refused=self._refused,
            malformed=self._malformed,
            stream=self.stream.stats,
        )

    async def _on_request(self, body: Any, reply: Reply) -> None:
        """Take a message; the answer says that it is stored."""
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
            elif envelope.id in self._heard:  # the messenger has missed the answer
                self._again += 1
            else:
                # first: if there is no room for it, nobody has got it, and it can be sent again
                self._pass_on(envelope, body)
                self._publisher.send(body)
                self._heard.add(envelope.id)
        except ColugoError as error:
            self._refused += 1
            self._complaints.warn("taken", f"the message {envelope.name!r} was not taken", error)
            reply.error(error)
        else:
            reply(ANSWER)

    async def _take(self, envelope: Envelope, body: bytes) -> None:
        """Store a message, but once only, however often it is sent."""
        await self._remember()
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

    async def _remember(self) -> None:
        """Return when it is known what the store holds."""
        if self._recalled is None:
            self._recalled = asyncio.ensure_future(self._recall())
        try:
            await asyncio.shield(self._recalled)
        except StoreError:
            self._recalled = None  # the next one tries again
            raise

    async def _store(self, envelope: Envelope, body: bytes) -> None:
        await self.stream.send_wait(body, key=envelope.name, headers={"id": envelope.id})
        self._recent.add(envelope.id)
        self._taken += 1
        self.logger.debug("taken: %r", envelope.name)

    def _pass_on(self, envelope: Envelope, body: bytes) -> None:
        """Hand a message to those that reach the relay only, if they listen."""
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

    async def _recall(self) -> None:
        """Learn which messages are in the store, before others are taken."""
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
    """The messenger's id of a message in the store; of one that has been sent otherwise, none that fits."""
    one = unpack_headers(stored.headers).get("id")
    return one if isinstance(one, bytes) else b""

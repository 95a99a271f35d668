"""Browsing of the messages that a stream keeps."""

import asyncio
from dataclasses import dataclass
from functools import partial
from typing import Any

from colugo.errors import DecodeError, StoreError
from colugo.patterns.base import check_count
from colugo.patterns.streams.delivery_scheduler import DeliveryScheduler
from colugo.protocol.codecs import Codec
from colugo.protocol.streams.message_parts import unpack_headers
from colugo.protocol.streams.stream_message import FLAG_TEXT, StreamMessage, message_id, number_of
from colugo.store import Store

PAGE_BYTES = 16 * 1024 * 1024
"""The most bytes of payloads in a page."""


@dataclass(frozen=True, slots=True)
class KeptMessage:
    """A message that a stream keeps.

    Attributes:
        id: its id.
        key: its key.
        headers: its headers.
        message: the decoded message; its bytes if the stream's codec cannot decode them.
        payload: its bytes.
        sent_ns: the time it was sent, nanoseconds since 1970.
        group: the only group that receives it, if it is a resurrected dead letter; "" for all groups.
    """

    id: str
    key: str
    headers: dict[str, Any]
    message: Any
    payload: bytes
    sent_ns: int
    group: str


class MessageBrowser:
    """The messages of one stream, without dead letters."""

    def __init__(self, scheduler: DeliveryScheduler, store: Store, codec: Codec) -> None:
        self._scheduler = scheduler
        self._store = store
        self._codec = codec

    async def page(self, after: str | None, limit: int) -> list[KeptMessage]:
        """Return a page of messages; see `Stream.messages`."""
        seq = 0 if after is None else number_of(after, self._scheduler.stream_id)
        check_count("limit", limit)
        await self._scheduler.writer.synced()
        messages = await reading(partial(self._store.read, seq, limit, PAGE_BYTES))
        return list(map(self.kept, messages))

    async def get(self, id: str) -> KeptMessage | None:  # noqa: A002 - as it is called everywhere
        """Return one message; see `Stream.message`."""
        seq = number_of(id, self._scheduler.stream_id)
        await self._scheduler.writer.synced()
        messages = await reading(partial(self._store.get, [seq]))
        return next(map(self.kept, messages), None)

    def kept(self, message: StreamMessage) -> KeptMessage:
        """Return a message of the store as users see it."""
        return KeptMessage(
            id=message_id(self._scheduler.stream_id, message.seq),
            key=message.key,
            headers=unpack_headers(message.headers),
            message=decoded(self._codec, message),
            payload=message.payload,
            sent_ns=message.sent_ns,
            group=message.group,
        )


async def reading(read: Any) -> Any:
    """Return what a store's method passes to its callback, the argument of `read`; raise its StoreError."""
    future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def done(result: Any) -> None:
        if future.done():
            return
        if isinstance(result, StoreError):
            future.set_exception(result)
        else:
            future.set_result(result)

    read(done)
    return await future


def decoded(codec: Codec, message: StreamMessage) -> Any:
    """Return the message as it was sent; its bytes if the codec cannot decode them."""
    try:
        return codec.unpack(message.payload, text=bool(message.flags & FLAG_TEXT))
    except DecodeError:
        return message.payload

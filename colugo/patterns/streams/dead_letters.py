"""The dead letters of a stream: to be listed, resurrected and purged."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

from colugo.errors import ConfigurationError, EncodeError
from colugo.patterns.base import check_count
from colugo.patterns.streams.browse import PAGE_BYTES, decoded, reading
from colugo.patterns.streams.delivery_scheduler import DeliveryScheduler
from colugo.protocol.codecs import Codec
from colugo.protocol.streams.bindings import Bindings
from colugo.protocol.streams.message_parts import check_group, pack_headers, unpack_headers
from colugo.protocol.streams.stream_message import FLAG_TEXT, message_id, number_of
from colugo.store import DeadQuery, Store, StoredDeadLetter

_PAGE = 500
FIRST_ID_HEADER = "colugo-first-id"
"""The header of a resurrected dead letter; its value is the id of the original message."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that a consumer group could not handle.

    Attributes:
        id: of the message.
        group: the name of the group.
        key: its key.
        headers: its headers.
        message: the decoded message; its bytes if the stream's codec cannot decode them.
        payload: its bytes.
        attempts: the number of attempts.
        reason: the reason why the last attempt failed.
        traceback: the traceback of the callback's exception; "" if it raised none.
        sent_ns: the time it was sent, nanoseconds since 1970.
        died_ns: the time it became a dead letter, nanoseconds since 1970.
    """

    id: str
    group: str
    key: str
    headers: dict[str, Any]
    message: Any
    payload: bytes
    attempts: int
    reason: str
    traceback: str
    sent_ns: int
    died_ns: int


class DeadLetters:
    """The dead letters of one stream.

    All methods take the same filters: `ids` of messages, the name of a `group`, and a pattern of keys (`*`
    matches one word, `#` any number of words, words divided by `.`). A letter must match all that are given.
    """

    def __init__(
        self, scheduler: DeliveryScheduler, store: Store, codec: Codec, logger: logging.Logger
    ) -> None:
        self._scheduler = scheduler
        self._store = store
        self._codec = codec
        self._logger = logger
        self._lock = asyncio.Lock()

    def __len__(self) -> int:
        return self._scheduler.intake.dead

    async def find(
        self,
        *,
        ids: Iterable[str] | None = None,
        group: str | None = None,
        key: str | None = None,
        limit: int = 1000,
        max_bytes: int | None = None,
        after: tuple[str, str] | None = None,
    ) -> list[DeadLetter]:
        """Return the dead letters that match, the oldest first.

        Args:
            ids: of messages; None for all.
            group: the name of a group; None for all.
            key: a pattern of keys; None for all.
            limit: the highest number of letters.
            max_bytes: the most bytes of payloads, though the first letter may exceed it. None for no limit.
            after: id and group of the last letter of the page before; None for the first page.

        Raises:
            ConfigurationError: if an id is not one of this stream, or the pattern is not valid.
            StoreError: if the store cannot be read.
        """
        check_count("limit", limit)
        begin = (0, "") if after is None else (number_of(after[0], self._scheduler.stream_id), after[1])
        found: list[StoredDeadLetter] = []
        size = 0
        async for page in self._pages(ids, group, key, begin):
            for letter in page:
                size += len(letter.message.payload)
                if len(found) >= limit or (found and max_bytes is not None and size > max_bytes):
                    return [self._to_dead_letter(one) for one in found]
                found.append(letter)
        return [self._to_dead_letter(one) for one in found]

    async def resurrect(
        self, *, ids: Iterable[str] | None = None, group: str | None = None, key: str | None = None
    ) -> int:
        """Deliver dead letters to their groups again, with all attempts.

        Each becomes a new message at the end of the stream; its header `colugo-first-id` has the original id.
        Letters of groups that no longer exist stay, which is logged with their number.

        Args:
            ids: as in `find`.
            group: as in `find`.
            key: as in `find`.

        Returns:
            The number of letters resurrected.

        Raises:
            ConfigurationError: as in `find`, or if the given group does not exist.
            StoreError: if the store cannot be written to at present.
        """
        scheduler = self._scheduler
        if group is not None and check_group(group) not in scheduler.groups.known:
            raise ConfigurationError(
                f"the stream has no group {group!r} to deliver the dead letters to: start a consumer of it "
                "first, or purge them"
            )
        number = unknown = 0
        async with self._lock:  # else another call could resurrect the same letters
            async for page in self._pages(ids, group, key, (0, "")):
                known = [letter for letter in page if letter.group in scheduler.groups.known]
                numbers = [self._resurrect(letter) for letter in known]
                if numbers:
                    await scheduler.writer.written(numbers[-1])
                number += len(known)
                unknown += len(page) - len(known)
        if unknown:
            self._logger.warning("%d dead letters stay, as their groups no longer exist", unknown)
        return number

    def _resurrect(self, letter: StoredDeadLetter) -> int:
        message = letter.message
        headers = unpack_headers(message.headers)
        headers.setdefault(FIRST_ID_HEADER, message_id(self._scheduler.stream_id, message.seq))
        try:
            packed = pack_headers(headers)
        except EncodeError:  # no room for one more header
            packed = message.headers
        flags = message.flags & FLAG_TEXT
        letter_id = letter.group, message.seq
        seq = self._scheduler.intake.add(message.key, packed, message.payload, flags, replaces=letter_id)
        self._scheduler.wake()
        return seq

    async def purge(
        self, *, ids: Iterable[str] | None = None, group: str | None = None, key: str | None = None
    ) -> int:
        """Delete dead letters.

        Args:
            ids: as in `find`.
            group: as in `find`.
            key: as in `find`.

        Returns:
            The number of letters deleted.

        Raises:
            ConfigurationError: as in `find`.
            StoreError: if the store cannot be written to at present.
        """
        number = 0
        async with self._lock:
            async for page in self._pages(ids, group, key, (0, "")):
                for letter in page:
                    self._scheduler.writer.remove_dead_letter(letter.group, letter.message.seq)
                number += len(page)
                await self._scheduler.writer.synced()
        return number

    async def _pages(
        self, ids: Iterable[str] | None, group: str | None, key: str | None, after: tuple[int, str]
    ) -> AsyncIterator[list[StoredDeadLetter]]:
        """Yield the present letters that match, in pages: together they may exceed the memory."""
        wanted = None if ids is None else {number_of(one, self._scheduler.stream_id) for one in ids}
        bindings = None if key is None else Bindings([key])
        if group is not None:
            check_group(group)
        last = self._scheduler.intake.last
        if wanted is not None:
            last = max(wanted, default=0)
            after = max(after, (min(wanted, default=0), ""))
        while after[0] <= last:
            await self._scheduler.writer.synced()
            query = DeadQuery(group=group, after=after, limit=_PAGE, max_bytes=PAGE_BYTES)
            page = await reading(partial(self._store.dead_letters, query))
            if not page:
                return
            after = (page[-1].message.seq, page[-1].group)
            matching = [
                letter
                for letter in page
                if letter.message.seq <= last
                and (wanted is None or letter.message.seq in wanted)
                and (bindings is None or bindings.matches(letter.message.key))
            ]
            if matching:
                yield matching

    def _to_dead_letter(self, letter: StoredDeadLetter) -> DeadLetter:
        message = letter.message
        return DeadLetter(
            id=message_id(self._scheduler.stream_id, message.seq),
            group=letter.group,
            key=message.key,
            headers=unpack_headers(message.headers),
            message=decoded(self._codec, message),
            payload=message.payload,
            attempts=letter.attempts,
            reason=letter.reason,
            traceback=letter.traceback,
            sent_ns=message.sent_ns,
            died_ns=letter.died_ns,
        )

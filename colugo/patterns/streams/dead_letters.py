"""What the groups of a stream could not handle: to be looked at, tried again, or thrown away."""

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
from colugo.protocol.streams.message_ids import message_id, number_of
from colugo.protocol.streams.message_parts import check_group, pack_headers, unpack_headers
from colugo.protocol.streams.stream_message import FLAG_TEXT
from colugo.store import DeadQuery, Store, StoredDeadLetter

_PAGE = 500
FIRST_ID_HEADER = "colugo-first-id"
"""The header of a message that was a dead letter: the id that it had at first."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that a consumer group could not handle.

    Attributes:
        id: of the message.
        group: of consumers.
        key: its key.
        headers: its headers.
        message: decoded; its bytes, if the stream's codec cannot decode them.
        payload: its bytes.
        attempts: how often it was tried.
        reason: why the last try failed.
        traceback: of what the callback raised; "" if it did not.
        sent_ns: when it was sent, nanoseconds since 1970.
        died_ns: when it was given up.
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
    one word, `#` any number, words divided by `.`); a letter has to fit all that are given.

    Args:
        scheduler: of the stream.
        store: of it.
        codec: of it.
        logger: of the node.
    """

    def __init__(
        self, scheduler: DeliveryScheduler, store: Store, codec: Codec, logger: logging.Logger
    ) -> None:
        self._scheduler = scheduler
        self._store = store
        self._codec = codec
        self._logger = logger
        self._changing = asyncio.Lock()

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
        """The dead letters that fit, the oldest first.

        Args:
            ids: of messages; None for all.
            group: only those of this group.
            key: only those whose key fits this pattern.
            limit: how many at most.
            max_bytes: how many bytes of payloads at most; the first one comes in any case. None for no limit.
            after: only those after this id and group: the last ones of the page before.

        Raises:
            ConfigurationError: if an id is none of this stream, or the pattern breaks the rules.
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
                    return [self._show(one) for one in found]
                found.append(letter)
        return [self._show(one) for one in found]

    async def resurrect(
        self, *, ids: Iterable[str] | None = None, group: str | None = None, key: str | None = None
    ) -> int:
        """Let dead letters be tried again, by the group that could not handle them; with all tries.

        Each is a new message, at the end of the stream; its header `colugo-first-id` has the id it had. Those
        of groups that are not known any more stay, for nobody would get them; the log says how many.

        Args:
            ids: as in `find`.
            group: as in `find`.
            key: as in `find`.

        Returns:
            How many.

        Raises:
            ConfigurationError: as in `find`, or if the given group is not known.
            StoreError: if the store cannot be written to now.
        """
        scheduler = self._scheduler
        if group is not None and check_group(group) not in scheduler.groups.known:
            raise ConfigurationError(
                f"the stream knows no group {group!r} that could get its dead letters: start a consumer of "
                "it first, or purge them"
            )
        number = unknown = 0
        async with self._changing:  # else another call would resurrect the same ones
            async for page in self._pages(ids, group, key, (0, "")):
                known = [letter for letter in page if letter.group in scheduler.groups.known]
                numbers = [self._resurrect(letter) for letter in known]
                if numbers:
                    await scheduler.journal.written(numbers[-1])
                number += len(known)
                unknown += len(page) - len(known)
        if unknown:
            self._logger.warning("%d dead letters stay: their groups are not known any more", unknown)
        return number

    def _resurrect(self, letter: StoredDeadLetter) -> int:
        message = letter.message
        headers = unpack_headers(message.headers)
        headers.setdefault(FIRST_ID_HEADER, message_id(self._scheduler.stream_id, message.seq))
        try:
            packed = pack_headers(headers)
        except EncodeError:  # they have no room for one more
            packed = message.headers
        flags = message.flags & FLAG_TEXT
        letter_id = letter.group, message.seq
        seq = self._scheduler.intake.add(message.key, packed, message.payload, flags, replaces=letter_id)
        self._scheduler.begin()
        return seq

    async def purge(
        self, *, ids: Iterable[str] | None = None, group: str | None = None, key: str | None = None
    ) -> int:
        """Throw dead letters away.

        Args:
            ids: as in `find`.
            group: as in `find`.
            key: as in `find`.

        Returns:
            How many.

        Raises:
            ConfigurationError: as in `find`.
            StoreError: if the store cannot be written to now.
        """
        number = 0
        async with self._changing:
            async for page in self._pages(ids, group, key, (0, "")):
                for letter in page:
                    self._scheduler.journal.unbury(letter.group, letter.message.seq)
                number += len(page)
                await self._scheduler.journal.synced()
        return number

    async def _pages(
        self, ids: Iterable[str] | None, group: str | None, key: str | None, after: tuple[int, str]
    ) -> AsyncIterator[list[StoredDeadLetter]]:
        """Those that fit, and are there already, by and by: together they may be larger than memory."""
        wanted = None if ids is None else {number_of(one, self._scheduler.stream_id) for one in ids}
        bindings = None if key is None else Bindings([key])
        if group is not None:
            check_group(group)
        last = self._scheduler.intake.last
        if wanted is not None:
            last = max(wanted, default=0)
            after = max(after, (min(wanted, default=0), ""))
        while after[0] <= last:
            await self._scheduler.journal.synced()
            query = DeadQuery(group=group, after=after, limit=_PAGE, max_bytes=PAGE_BYTES)
            page = await reading(partial(self._store.dead_letters, query))
            if not page:
                return
            after = (page[-1].message.seq, page[-1].group)
            fitting = [
                letter
                for letter in page
                if letter.message.seq <= last
                and (wanted is None or letter.message.seq in wanted)
                and (bindings is None or bindings.matches(letter.message.key))
            ]
            if fitting:
                yield fitting

    def _show(self, letter: StoredDeadLetter) -> DeadLetter:
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

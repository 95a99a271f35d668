"""What the groups of a stream could not handle: to be looked at, tried again, or thrown away."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from colugo.errors import ConfigurationError, DecodeError, StoreError
from colugo.net.store import DeadLetter as StoredLetter
from colugo.net.store import DeadQuery, Store
from colugo.patterns.keeper import Keeper
from colugo.protocol.bindings import Bindings
from colugo.protocol.codecs import Codec
from colugo.protocol.message_parts import pack_headers, unpack_headers
from colugo.protocol.messages import FLAG_TEXT

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

    All methods take the same filters: `ids` of messages, the name of a `group`, and a pattern of keys (`*` one
    word, `#` any number, words divided by `.`); a letter has to fit all that are given.

    Args:
        keeper: of the stream.
        store: of it.
        codec: of it.
        prefix: what ids begin with.
    """

    def __init__(self, keeper: Keeper, store: Store, codec: Codec, prefix: str) -> None:
        self._keeper = keeper
        self._store = store
        self._codec = codec
        self._prefix = prefix

    def __len__(self) -> int:
        return self._keeper.dead

    async def find(
        self,
        *,
        ids: Iterable[str] | None = None,
        group: str | None = None,
        key: str | None = None,
        limit: int = 1000,
    ) -> list[DeadLetter]:
        """The dead letters that fit, the oldest first.

        Args:
            ids: of messages; None for all.
            group: only those of this group.
            key: only those whose key fits this pattern.
            limit: how many at most.

        Raises:
            ConfigurationError: if an id is none of this stream, or the pattern breaks the rules.
            StoreError: if the store cannot be read.
        """
        return [self._show(letter) for letter in await self._select(ids, group, key, limit)]

    async def resurrect(
        self, *, ids: Iterable[str] | None = None, group: str | None = None, key: str | None = None
    ) -> int:
        """Let dead letters be tried again, by the group that could not handle them; with all tries.

        Each is a new message, at the end of the stream; its header `colugo-first-id` has the id it had.

        Args:
            ids: as in `find`.
            group: as in `find`.
            key: as in `find`.

        Returns:
            How many.

        Raises:
            ConfigurationError: as in `find`.
            StoreError: if that cannot be stored: they stay dead letters.
        """
        letters = await self._select(ids, group, key, None)
        last = 0
        for letter in letters:
            message = letter.message
            headers = unpack_headers(message.headers)
            headers.setdefault(FIRST_ID_HEADER, f"{self._prefix}{message.seq}")
            last = self._keeper.add(
                message.key,
                pack_headers(headers),
                message.payload,
                message.flags & FLAG_TEXT,
                letter.group,
                force=True,
            )
            self._keeper.unbury(letter.group, message.seq)
        if letters:
            await self._keeper.written(last)
        return len(letters)

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
            StoreError: if that cannot be stored.
        """
        letters = await self._select(ids, group, key, None)
        for letter in letters:
            self._keeper.unbury(letter.group, letter.message.seq)
        if letters:
            await self._keeper.synced()
        return len(letters)

    async def _select(
        self, ids: Iterable[str] | None, group: str | None, key: str | None, limit: int | None
    ) -> list[StoredLetter]:
        wanted = None if ids is None else {self._number(one) for one in ids}
        bindings = None if key is None else Bindings([key])
        found: list[StoredLetter] = []
        after = (0, "")
        while limit is None or len(found) < limit:
            page = await self._page(DeadQuery(group=group, after=after, limit=_PAGE))
            found += [
                letter
                for letter in page
                if (wanted is None or letter.message.seq in wanted)
                and (bindings is None or bindings.matches(letter.message.key))
            ]
            if len(page) < _PAGE:
                break
            after = (page[-1].message.seq, page[-1].group)
        return found[:limit]

    async def _page(self, query: DeadQuery) -> list[StoredLetter]:
        future: asyncio.Future[list[StoredLetter]] = asyncio.get_running_loop().create_future()

        def done(result: list[StoredLetter] | StoreError) -> None:
            if future.done():
                return
            if isinstance(result, StoreError):
                future.set_exception(result)
            else:
                future.set_result(result)

        await self._keeper.synced()
        self._store.dead_letters(query, done)
        return await future

    def _number(self, message_id: str) -> int:
        text = str(message_id)
        number = text.removeprefix(self._prefix)
        if not (text.startswith(self._prefix) and number.isdecimal()):
            raise ConfigurationError(f"{text!r} is no id of this stream: those begin with {self._prefix}")
        return int(number)

    def _show(self, letter: StoredLetter) -> DeadLetter:
        message = letter.message
        try:
            decoded = self._codec.unpack(message.payload, text=bool(message.flags & FLAG_TEXT))
        except DecodeError:
            decoded = message.payload
        return DeadLetter(
            id=f"{self._prefix}{message.seq}",
            group=letter.group,
            key=message.key,
            headers=unpack_headers(message.headers),
            message=decoded,
            payload=message.payload,
            attempts=letter.attempts,
            reason=letter.reason,
            traceback=letter.traceback,
            sent_ns=message.sent_ns,
            died_ns=letter.died_ns,
        )

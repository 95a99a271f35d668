"""Reading of messages and dead letters, page by page."""

from collections.abc import AsyncIterator
from typing import Any

import msgspec

from colugo.cli.stream.access import Access, Found
from colugo.cli.stream.filters import LetterFilters
from colugo.errors import DecodeError
from colugo.introspection.stream_questions import MAX_PAGE, STREAM_DEAD, STREAM_MESSAGES, STREAM_SHOW
from colugo.protocol.description.stream_answers import LetterSummary, Summary, Whole


async def messages(access: Access, found: Found, after: str | None, limit: int) -> AsyncIterator[Summary]:
    """Read up to `limit` messages of a stream, the oldest first, from the one after an id."""
    while limit > 0:
        answer = await access.ask(found, STREAM_MESSAGES, after=after, limit=min(limit, MAX_PAGE))
        page = _read(answer, list[Summary])
        for message in page:
            yield message
        if not page:
            return
        limit -= len(page)
        after = page[-1].id


async def letters(
    access: Access, found: Found, filters: LetterFilters, limit: int
) -> AsyncIterator[LetterSummary]:
    """Read up to `limit` selected dead letters of a stream, the oldest first."""
    arguments = filters.of(found)
    after: list[str] | None = None
    while limit > 0 and arguments is not None:
        answer = await access.ask(found, STREAM_DEAD, **arguments, after=after, limit=min(limit, MAX_PAGE))
        page = _read(answer, list[LetterSummary])
        for letter in page:
            yield letter
        if not page:
            return
        limit -= len(page)
        after = [page[-1].id, page[-1].group]


async def whole(
    access: Access, found: Found, message_id: str, group: str | None
) -> tuple[Whole, bytes] | None:
    """Read a message, or the dead letter of a group, with its payload; None if there is no such message."""
    payload = b""
    while True:
        answer = await access.ask(found, STREAM_SHOW, id=message_id, group=group, offset=len(payload))
        found_whole = _read(answer, Whole | None)
        if found_whole is None:
            return None
        try:
            part = found_whole.part
        except ValueError as error:
            raise DecodeError(f"{found.name} sent a payload that does not decode: {error}") from error
        payload += part
        if not part or len(payload) >= found_whole.size:
            return found_whole, payload


def _read(answer: Any, form: Any) -> Any:
    try:
        return msgspec.convert(answer, form)
    except msgspec.ValidationError as error:
        raise DecodeError(f"the node sent an invalid answer: {error}") from error

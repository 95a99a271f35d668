"""Questions about a node's streams, from other streams of a topic and tools such as `colugo stream`."""

from collections.abc import Iterable
from typing import Annotated, Any, TypeVar

import msgspec

from colugo.errors import ConfigurationError, LifecycleError
from colugo.net.questions import QuestionHandler
from colugo.patterns.streams.browse import PAGE_BYTES, KeptMessage
from colugo.patterns.streams.dead_letters import DeadLetter
from colugo.patterns.streams.gossip import QUESTION as STREAM_GROUPS
from colugo.patterns.streams.stream import Stream
from colugo.protocol.description.stream_answers import LetterSummary, Summary, Whole, part_of, plain, preview

STREAMS = "streams"
STREAM_MESSAGES = "stream-messages"
STREAM_SHOW = "stream-show"
STREAM_DEAD = "stream-dead"
STREAM_RESURRECT = "stream-resurrect"
STREAM_PURGE = "stream-purge"
STREAM_FORGET = "stream-forget"

MAX_PAGE = 1000
_ANSWER_BYTES = 8 * 1024 * 1024
"""The size of the list in one answer: half of the limit for an answer."""

T = TypeVar("T")
S = TypeVar("S", bound=Summary)
Limit = Annotated[int, msgspec.Meta(ge=1, le=MAX_PAGE)]


class _OfStream(msgspec.Struct, forbid_unknown_fields=True):
    """The stream that a question is about; a node has at most one of a topic."""

    topic: str
    socket: str = ""


class _Groups(_OfStream):
    groups: list[dict[str, Any]] = []


class _Page(_OfStream):
    after: str | None = None
    limit: Limit = 100


class _Show(_OfStream):
    id: str = ""
    group: str | None = None
    offset: Annotated[int, msgspec.Meta(ge=0)] = 0


class _Filters(_OfStream):
    ids: Annotated[list[str], msgspec.Meta(min_length=1)] | None = None
    group: str | None = None
    key: str | None = None


class _DeadPage(_Filters):
    after: tuple[str, str] | None = None
    limit: Limit = 100


class _Forget(_OfStream):
    group: str = ""


class _NoArguments(msgspec.Struct, forbid_unknown_fields=True):
    pass


class StreamQuestions:
    """The handlers of questions about the streams among a node's parts; later changes are seen."""

    def __init__(self, parts: Iterable[object]) -> None:
        self._parts = parts

    @property
    def handlers(self) -> dict[str, QuestionHandler]:
        """The handler of each question, which gets its arguments. A page is empty after the last message."""
        return {
            STREAM_GROUPS: self._groups,
            STREAMS: self._describe,
            STREAM_MESSAGES: self._messages,
            STREAM_SHOW: self._show,
            STREAM_DEAD: self._dead,
            STREAM_RESURRECT: self._resurrect,
            STREAM_PURGE: self._purge,
            STREAM_FORGET: self._forget,
        }

    def _groups(self, arguments: dict[str, Any]) -> list[dict[str, Any]]:
        """Take the groups that another stream knows, and return those that this one knows."""
        asked = _read(arguments, _Groups)
        return self._stream(asked).exchange_groups(asked.groups)

    def _describe(self, arguments: dict[str, Any]) -> Any:
        _read(arguments, _NoArguments)
        return msgspec.to_builtins([stream.describe() for stream in self._streams()])

    async def _messages(self, arguments: dict[str, Any]) -> Any:
        asked = _read(arguments, _Page)
        messages = await self._stream(asked).messages(asked.after, asked.limit)
        return _fitting(Summary(**_common(message)) for message in messages)

    async def _show(self, arguments: dict[str, Any]) -> Any:
        """Return a message, or the dead letter of a group, with its payload; None if it does not exist."""
        asked = _read(arguments, _Show)
        stream = self._stream(asked)
        if asked.group is None:
            message = await stream.message(asked.id)
            return msgspec.to_builtins(None if message is None else _whole(message, asked.offset))
        letters = await stream.dead_letters.find(ids=[asked.id], group=asked.group)
        if not letters:
            return None
        whole = _whole(letters[0], asked.offset, **_death(letters[0]))
        whole.dead, whole.traceback = True, letters[0].traceback
        return msgspec.to_builtins(whole)

    async def _dead(self, arguments: dict[str, Any]) -> Any:
        asked = _read(arguments, _DeadPage)
        letters = await self._stream(asked).dead_letters.find(
            ids=asked.ids,
            group=asked.group,
            key=asked.key,
            limit=asked.limit,
            max_bytes=PAGE_BYTES,
            after=asked.after,
        )
        return _fitting(LetterSummary(**_common(letter), **_death(letter)) for letter in letters)

    async def _resurrect(self, arguments: dict[str, Any]) -> int:
        asked = _read(arguments, _Filters)
        return await self._stream(asked).dead_letters.resurrect(
            ids=asked.ids, group=asked.group, key=asked.key
        )

    async def _purge(self, arguments: dict[str, Any]) -> int:
        asked = _read(arguments, _Filters)
        return await self._stream(asked).dead_letters.purge(ids=asked.ids, group=asked.group, key=asked.key)

    def _forget(self, arguments: dict[str, Any]) -> bool:
        asked = _read(arguments, _Forget)
        try:
            return self._stream(asked).forget(asked.group)
        except LifecycleError as error:
            raise ConfigurationError(str(error)) from error

    def _stream(self, asked: _OfStream) -> Stream:
        for stream in self._streams():
            if stream.topic == asked.topic and asked.socket in ("", stream.socket_id.hex()):
                return stream
        which = f"{asked.topic} with the id {asked.socket}" if asked.socket else asked.topic
        raise ConfigurationError(f"this node has no stream {which}")

    def _streams(self) -> list[Stream]:
        return [part for part in self._parts if isinstance(part, Stream)]


def _read(arguments: dict[str, Any], form: type[T]) -> T:
    try:
        return msgspec.convert(arguments, form)
    except msgspec.ValidationError as error:
        raise ConfigurationError(f"invalid arguments: {error}") from error


def _common(message: KeptMessage | DeadLetter) -> dict[str, Any]:
    begin, text = preview(message.payload)
    return {
        "id": message.id,
        "key": message.key,
        "headers": plain(message.headers),
        "size": len(message.payload),
        "sent_ns": message.sent_ns,
        "preview": begin,
        "text": text,
        "group": message.group,
    }


def _death(letter: DeadLetter) -> dict[str, Any]:
    return {"attempts": letter.attempts, "reason": letter.reason, "died_ns": letter.died_ns}


def _whole(message: KeptMessage | DeadLetter, offset: int, **death: Any) -> Whole:
    return Whole(**_common(message), **death, offset=offset, base64=part_of(message.payload, offset))


def _fitting(summaries: Iterable[S]) -> Any:
    """Return as many summaries as fit into an answer, and at least the first one."""
    found: list[Any] = []
    size = 0
    for summary in summaries:
        size += len(msgspec.json.encode(summary))
        if found and size > _ANSWER_BYTES:
            break
        found.append(msgspec.to_builtins(summary))
    return found

"""What a node is asked of its streams, by other streams of a topic and by tools such as `colugo stream`."""

from collections.abc import Iterable
from typing import Any, TypeVar

import msgspec

from colugo.errors import ConfigurationError, FrameError
from colugo.net.questions import QuestionHandler
from colugo.patterns.stream import Stream
from colugo.patterns.stream_gossip import QUESTION as STREAM_GROUPS

T = TypeVar("T")


class _OfStream(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which stream is meant: a node has one of a topic at most."""

    topic: str
    socket: str = ""


class _Groups(_OfStream, frozen=True, forbid_unknown_fields=True):
    groups: list[dict[str, Any]] = []


class StreamQuestions:
    """Answers them.

    Args:
        parts: of the node, as they are when it is asked.
    """

    def __init__(self, parts: Iterable[object]) -> None:
        self._parts = parts

    @property
    def handlers(self) -> dict[str, QuestionHandler]:
        """By question: what takes its arguments."""
        return {STREAM_GROUPS: self._groups}

    def _groups(self, arguments: dict[str, Any]) -> list[dict[str, Any]]:
        asked = _read(arguments, _Groups)
        stream = self._stream(asked)
        try:
            return stream.exchange_groups(asked.groups)
        except FrameError as error:
            raise ConfigurationError(f"groups: {error}") from error

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
        raise ConfigurationError(f"arguments that do not fit: {error}") from error

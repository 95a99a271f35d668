"""The stream in a store file that no node has open."""

import inspect
import logging
from pathlib import Path
from typing import Any, Self

import msgspec

from colugo.cli.stream.access import Found
from colugo.config import NodeConfig
from colugo.introspection.stream_questions import STREAMS, StreamQuestions
from colugo.lifecycle import Lifecycle
from colugo.net.addresses.interfaces import HOST
from colugo.net.discovery.memory_directory import MemoryDirectory, MemoryNetwork
from colugo.patterns.streams.stream import Stream
from colugo.protocol.description.stream_descriptions import StreamDescription
from colugo.store.sqlite.sqlite_store import SqliteStore

_TOPIC = "store"
"""The topic of the stream here, which no other node sees, whatever the file says."""


class InFile:
    """The stream on a store file, open within an `async with` block, without a network."""

    def __init__(self, path: Path) -> None:
        self._store = SqliteStore(path, logger=logging.getLogger("colugo stream"))
        self._host = _Host()
        self._questions = StreamQuestions([])

    async def streams(self) -> tuple[list[Found], dict[str, str]]:
        """Return the one stream in the file."""
        (stream,) = await self._ask(STREAMS, {})
        description = msgspec.convert(stream, StreamDescription)
        description.topic, description.endpoints = self._store.topic or "", []
        return [Found(description)], {}

    async def ask(self, found: Found, question: str, **arguments: Any) -> Any:
        """Ask the stream a question."""
        return await self._ask(question, {"topic": _TOPIC, "socket": found.stream.socket_id, **arguments})

    async def _ask(self, question: str, arguments: dict[str, Any]) -> Any:
        answer = self._questions.handlers[question](arguments)
        return await answer if inspect.isawaitable(answer) else answer

    async def __aenter__(self) -> Self:
        await self._host.__aenter__()
        try:
            self._questions = StreamQuestions([self._host.open_stream(self._store)])
        except BaseException:
            await self._host.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._host.aclose()


class _Host(Lifecycle):
    """The part of a node that a stream needs, independent of environment variables."""

    def __init__(self) -> None:
        directory = MemoryDirectory(MemoryNetwork())
        config = NodeConfig(realm="colugo-stream", scope=HOST, ipc=False, directory=directory)
        super().__init__("colugo stream", config)

    def open_stream(self, store: SqliteStore) -> Stream:
        return self._adopt(Stream, _TOPIC, store=store)

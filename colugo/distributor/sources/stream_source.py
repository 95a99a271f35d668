"""The source of messages of a colugo stream."""

import asyncio
from typing import TYPE_CHECKING, Any

from colugo.distributor.sources.loop_source import LoopSource

if TYPE_CHECKING:
    from colugo.patterns.streams.consuming.consumer import Consumer


class StreamSource(LoopSource):
    """A consumer of the distributor's node; each message is acknowledged when the distributor has taken it.

    Args:
        topic: the topic of the streams, or a pattern of topics.
        group: the consumer group, whose members share the messages. None for a group of its own, which is
            not remembered.
        codec: the stream's codec, such as `"json"`; None for str and bytes unchanged.
    """

    def __init__(self, topic: str, *, group: str | None = None, codec: str | None = None) -> None:
        super().__init__()
        self._topic = topic
        self._group = group
        self._codec = codec
        self._consumer: Consumer | None = None

    @property
    def label(self) -> str:
        """The name in logs and of the task."""
        return f"{type(self).__name__} {self._topic}"

    async def listen(self) -> None:
        """Wait: the consumer calls back with the messages."""
        await asyncio.get_running_loop().create_future()

    def _acquire(self) -> None:
        if self._consumer is None:
            self._consumer = self.node.add_consumer(
                self._topic, self._take, group=self._group, codec=self._codec
            )

    def _release(self) -> None:
        if self._consumer is not None:
            self._consumer.close()
            self._consumer = None

    async def _take(self, message: Any) -> None:
        await self.emit(message)

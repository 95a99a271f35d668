"""The source of messages of a colugo topic."""

import time

from colugo.distributor.sources.loop_source import LoopSource
from colugo.patterns.pubsub.subscriber import Subscriber

_CHECK_S = 1.0


class TopicSource(LoopSource):
    """A subscriber of the distributor's node.

    Lost messages, and those that a full queue has dropped, are counted in `lost` and logged. Publishers with
    `flow="wait"` are held up instead.

    Args:
        topic: a topic, or a pattern of words separated by `.`, where `*` is one word and `#` any number.
        codec: the publisher's codec, such as `"json"`; None for str and bytes unchanged.
    """

    def __init__(self, topic: str, *, codec: str | None = None) -> None:
        super().__init__()
        self.lost = 0
        """Messages that were lost on the way, or dropped by the full queue of the subscriber."""
        self._topic = topic
        self._codec = codec
        self._subscriber: Subscriber | None = None
        self._dropped = 0

    @property
    def label(self) -> str:
        """The name in logs and of the task."""
        return f"{type(self).__name__} {self._topic}"

    async def listen(self) -> None:
        """Read messages until the task is cancelled or the node stops."""
        subscriber = self._subscriber
        assert subscriber is not None
        checked = time.monotonic()
        async for message in subscriber:
            await self.emit(message)
            if time.monotonic() - checked > _CHECK_S:
                self._check_drops(subscriber)
                checked = time.monotonic()

    def _acquire(self) -> None:
        if self._subscriber is None:
            self._dropped = 0
            self._subscriber = self.node.add_subscriber(
                self._topic, codec=self._codec, on_loss=self._on_loss, on_error=self._on_error
            )

    def _release(self) -> None:
        if self._subscriber is not None:
            self._subscriber.close()
            self._check_drops(self._subscriber)
            self._subscriber = None

    def _on_loss(self, info: object, count: int) -> None:
        del info
        self.lost += count
        self._warn("lost", "%d messages so far were lost on the way", self.lost)

    def _on_error(self, error: Exception) -> None:
        self.malformed += 1
        self._warn("malformed", "a message does not decode: %s", error)

    def _check_drops(self, subscriber: Subscriber) -> None:
        dropped = subscriber.stats.dropped
        if dropped > self._dropped:
            self.lost += dropped - self._dropped
            self._dropped = dropped
            self._warn(None, "%d messages so far were dropped, because the queue was full", self.lost)

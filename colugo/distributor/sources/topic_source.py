"""The source of messages of a colugo topic."""

import time

from colugo.distributor.sources.loop_source import LoopSource
from colugo.patterns.pubsub.subscriber import Subscriber
from colugo.protocol.throttle import Throttle

_CHECK_S = 1.0


class TopicSource(LoopSource):
    """A subscriber of the distributor's node.

    Lost messages, and those that a full queue has dropped, are counted and logged. Publishers with
    `flow="wait"` are held up instead.

    Args:
        topic: a topic, or a pattern of words separated by `.`, where `*` is one word and `#` any number.
        codec: the publisher's codec, such as `"json"`; None for str and bytes unchanged.
    """

    def __init__(self, topic: str, *, codec: str | None = None) -> None:
        super().__init__()
        self._topic = topic
        self._codec = codec
        self._subscriber: Subscriber | None = None
        self._losses = 0
        self._dropped = 0
        self._dropped_before = 0
        self._throttle = Throttle(_CHECK_S)

    @property
    def label(self) -> str:
        """The name in logs and of the task."""
        return f"{type(self).__name__} {self._topic}"

    @property
    def lost(self) -> int:
        """Messages that were lost on the way, or dropped by the full queue of the subscriber."""
        return self._losses + self._dropped_before + self._dropped

    def open(self) -> None:
        """Add the subscriber to the node.

        Raises:
            ConnectorNotInitialized: if the distributor has no node.
            TopicError: if the topic breaks the rules.
        """
        if self._subscriber is None:
            self._subscriber = self.node.add_subscriber(
                self._topic, codec=self._codec, on_loss=self._on_loss, on_error=self._on_error
            )
        super().open()

    def close(self, code: int = -1, reason: str = "") -> None:
        """Remove the subscriber from the node."""
        super().close(code, reason)
        if self._subscriber is not None:
            self._subscriber.close()
            self._check_drops(self._subscriber)
            self._dropped_before += self._dropped
            self._dropped = 0
            self._subscriber = None

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

    def _on_loss(self, info: object, count: int) -> None:
        del info
        self._losses += count
        self._report_loss("were lost on the way", self._losses)

    def _on_error(self, error: Exception) -> None:
        self.malformed += 1
        note = self._throttle.note("malformed", time.monotonic())
        if note is not None:
            self.logger.warning("%s: a message does not decode: %s%s", self.label, error, note)

    def _check_drops(self, subscriber: Subscriber) -> None:
        dropped = subscriber.stats.dropped
        if dropped > self._dropped:
            self._dropped = dropped
            total = self._dropped_before + dropped
            self._report_loss("were dropped, because the queue was full", total)

    def _report_loss(self, how: str, total: int) -> None:
        if self._throttle.admit(how, time.monotonic()) is not None:
            self.logger.warning("%s: %d messages so far %s", self.label, total, how)

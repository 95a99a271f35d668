"""The target of a colugo topic."""

from typing import Any, ClassVar

from colugo.distributor.node_mixin import NodeMixin
from colugo.distributor.target_options import TargetOptions
from colugo.distributor.targets.payload import as_json
from colugo.distributor.threaded_target import ThreadedDistributionTarget
from colugo.patterns.pubsub.publisher import Publisher


class TopicTarget(NodeMixin, ThreadedDistributionTarget):
    """Publishes each message on a topic of the distributor's node.

    Args:
        topic: the topic.
        codec: as for `Node.add_publisher`; None for text and bytes unchanged, and JSON for other objects.
        retain: the number of last messages that late joiners receive.
    """

    default_options: ClassVar = TargetOptions(workers=1, retries=0)

    _publisher: Publisher | None = None

    def __init__(self, topic: str, *, codec: str | None = None, retain: int = 0) -> None:
        super().__init__(poolsize=1)
        self._topic = topic
        self._codec = codec
        self._retain = retain

    def open(self) -> None:
        """Add the publisher.

        Raises:
            ConnectorNotInitialized: if the distributor has no node.
            ColugoError: as `Node.add_publisher`; the next message tries again.
        """
        self._add()

    def close(self, code: int = -1, reason: str = "") -> None:
        """Send what is queued, for at most `drain_ms`, and withdraw the publisher.

        Args:
            code: the cause.
            reason: the cause in words.
        """
        super().close(code, reason)
        publisher, self._publisher = self._publisher, None
        if publisher is not None:
            publisher.close()

    def process(self, message: Any) -> None:
        """Publish a message.

        Args:
            message: the message.

        Raises:
            ColugoError: as `open` and `Publisher.send`.
        """
        publisher = self._publisher or self._add()
        publisher.send(as_json(message) if self._codec is None else message)

    def _add(self) -> Publisher:
        made = self._publisher = self.node.add_publisher(self._topic, codec=self._codec, retain=self._retain)
        return made

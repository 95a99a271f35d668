"""The target of a colugo topic."""

from typing import ClassVar

from colugo.distributor.target_options import TargetOptions
from colugo.distributor.targets.node_target import NodeTarget
from colugo.patterns.pubsub.publisher import Publisher


class TopicTarget(NodeTarget):
    """Publishes each message on a topic of the distributor's node.

    Args:
        topic: the topic.
        codec: as for `Node.add_publisher`; None for text and bytes unchanged, and JSON for other objects.
        retain: the number of last messages that late joiners receive.
    """

    default_options: ClassVar = TargetOptions(workers=1, retries=0)

    def __init__(self, topic: str, *, codec: str | None = None, retain: int = 0) -> None:
        super().__init__(topic, codec)
        self._retain = retain

    def _add(self) -> Publisher:
        return self.node.add_publisher(self._topic, codec=self._codec, retain=self._retain)

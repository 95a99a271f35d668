"""The base of the targets of topics and streams."""

from abc import abstractmethod
from typing import Any

from colugo.distributor.node_mixin import NodeMixin
from colugo.distributor.targets.payload import as_json
from colugo.distributor.threaded_target import ThreadedDistributionTarget
from colugo.patterns.pubsub.publisher import Publisher
from colugo.patterns.streams.stream import Stream


class NodeTarget(NodeMixin, ThreadedDistributionTarget):
    """Sends each message with a part of the distributor's node."""

    _part: Publisher | Stream | None = None

    def __init__(self, topic: str, codec: str | None) -> None:
        super().__init__(poolsize=1)
        self._topic = topic
        self._codec = codec

    def open(self) -> None:
        """Add the part to the node.

        Raises:
            ConnectorNotInitialized: if the distributor has no node.
            ColugoError: as the method of `Node` that adds it; the next message tries again.
        """
        self._part = self._add()

    def process(self, message: Any) -> str | None:
        """Send a message.

        Args:
            message: the message.

        Returns:
            The message's id in a stream.

        Raises:
            ColugoError: as `open`, and as the part's method `send`.
        """
        if self._part is None:
            self.open()
        assert self._part is not None
        return self._part.send(as_json(message) if self._codec is None else message)

    @abstractmethod
    def _add(self) -> Publisher | Stream:
        """Add the part to the node."""

    def _release(self) -> None:
        part, self._part = self._part, None
        if part is not None:
            part.close()

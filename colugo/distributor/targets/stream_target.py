"""The target of a colugo stream."""

import os
from typing import Any, ClassVar

from colugo.distributor.node_mixin import NodeMixin
from colugo.distributor.target_options import UNLIMITED, TargetOptions
from colugo.distributor.targets.payload import as_json
from colugo.distributor.threaded_target import ThreadedDistributionTarget
from colugo.errors import StoreError, StreamFullError
from colugo.patterns.streams.stream import Stream


class StreamTarget(NodeMixin, ThreadedDistributionTarget):
    """Sends each message to a stream of the distributor's node.

    A message is complete when the stream has accepted it. With `store`, the stream writes it to the file in
    the next turn of the node's loop; what it has not written when the program crashes is lost. While the
    stream is full or its store fails, messages wait.

    Args:
        topic: the stream's topic.
        store: the file that keeps the messages; None to keep them in memory.
        codec: as for `Node.add_stream`; None for text and bytes unchanged, and JSON for other objects.
    """

    default_options: ClassVar = TargetOptions(workers=1, retries=UNLIMITED)
    retry_on: ClassVar = (StreamFullError, StoreError)

    _stream: Stream | None = None

    def __init__(
        self, topic: str, *, store: str | os.PathLike[str] | None = None, codec: str | None = None
    ) -> None:
        super().__init__(poolsize=1)
        self._topic = topic
        self._store = store
        self._codec = codec

    def open(self) -> None:
        """Add the stream.

        Raises:
            ConnectorNotInitialized: if the distributor has no node.
            ColugoError: as `Node.add_stream`; the next message tries again.
        """
        self._add()

    def close(self, code: int = -1, reason: str = "") -> None:
        """Send what is queued, for at most `drain_ms`, and close the stream.

        Args:
            code: the cause.
            reason: the cause in words.
        """
        super().close(code, reason)
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()

    def process(self, message: Any) -> str:
        """Send a message to the stream.

        Args:
            message: the message.

        Returns:
            The message's id in the stream.

        Raises:
            ColugoError: as `open` and `Stream.send`.
        """
        stream = self._stream or self._add()
        return stream.send(as_json(message) if self._codec is None else message)

    def _add(self) -> Stream:
        stream = self._stream = self.node.add_stream(self._topic, store=self._store, codec=self._codec)
        return stream

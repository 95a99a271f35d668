"""The target of a colugo stream."""

import os
from typing import ClassVar

from colugo.distributor.target_options import UNLIMITED, TargetOptions
from colugo.distributor.targets.node_target import NodeTarget
from colugo.errors import StoreError, StreamFullError
from colugo.patterns.streams.stream import Stream


class StreamTarget(NodeTarget):
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

    def __init__(
        self, topic: str, *, store: str | os.PathLike[str] | None = None, codec: str | None = None
    ) -> None:
        super().__init__(topic, codec)
        self._store = store

    def _add(self) -> Stream:
        return self.node.add_stream(self._topic, store=self._store, codec=self._codec)

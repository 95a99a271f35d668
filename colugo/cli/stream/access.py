"""One interface to streams of running nodes and to stores in files."""

from dataclasses import dataclass
from typing import Any, Protocol

from colugo.protocol.description.stream_descriptions import StreamDescription


@dataclass(frozen=True, slots=True)
class Found:
    """A stream that was found.

    Attributes:
        node: the name of its node, with the address if another node has the same name; empty for a file.
        endpoint: the node's endpoint; empty for a file.
    """

    stream: StreamDescription
    node: str = ""
    endpoint: str = ""

    @property
    def name(self) -> str:
        """The stream's name in messages to the user."""
        return f"{self.stream.topic} of node {self.node}" if self.node else self.stream.store


class Access(Protocol):
    """Access to streams: finds and queries them."""

    async def streams(self) -> tuple[list[Found], dict[str, str]]:
        """Find all streams; also return why nodes do not answer, by the names of their streams."""

    async def ask(self, found: Found, question: str, **arguments: Any) -> Any:
        """Ask a stream one of the questions of `colugo.introspection.stream_questions`.

        Returns:
            The answer, as JSON data.

        Raises:
            ColugoError: if the stream does not answer or refuses.
        """

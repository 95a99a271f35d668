"""One interface to streams of running nodes and to stores in files."""

from dataclasses import dataclass, field
from typing import Any, Protocol

from colugo.protocol.description.stream_descriptions import StreamDescription


@dataclass(frozen=True, slots=True)
class Found:
    """A stream that was found.

    Attributes:
        stream: its description.
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


@dataclass(slots=True)
class Streams:
    """The result of a search for streams.

    Attributes:
        found: the streams.
        silent: the names of streams whose node does not answer, and why.
    """

    found: list[Found] = field(default_factory=list)
    silent: dict[str, str] = field(default_factory=dict)


class Access(Protocol):
    """Access to streams: finds and queries them."""

    async def streams(self) -> Streams:
        """Find all streams.

        Raises:
            ColugoError: if the search fails.
        """

    async def ask(self, found: Found, question: str, **arguments: Any) -> Any:
        """Ask a stream one of the questions of `colugo.introspection.stream_questions`.

        Args:
            found: the stream.
            question: the question's name.
            arguments: the question's arguments, without the stream.

        Returns:
            The answer, as JSON data.

        Raises:
            ColugoError: if the stream does not answer or refuses.
        """

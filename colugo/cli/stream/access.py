"""How the commands get at streams: those of running nodes, and those in files, in one way."""

from dataclasses import dataclass, field
from typing import Any, Protocol

from colugo.protocol.description.stream_descriptions import StreamDescription


@dataclass(frozen=True, slots=True)
class Found:
    """A stream that was found.

    Attributes:
        stream: what it says of itself.
        node: name of its node, with its place if another has the same; empty for a file.
        endpoint: where the node answers; empty for a file.
    """

    stream: StreamDescription
    node: str = ""
    endpoint: str = ""

    @property
    def name(self) -> str:
        """What to call it."""
        return f"{self.stream.topic} of node {self.node}" if self.node else self.stream.store


@dataclass(slots=True)
class Streams:
    """What was found.

    Attributes:
        found: the streams.
        silent: names of those whose node does not answer, and why.
    """

    found: list[Found] = field(default_factory=list)
    silent: dict[str, str] = field(default_factory=dict)


class Access(Protocol):
    """Finds streams, and asks them."""

    async def streams(self) -> Streams:
        """All that can be found.

        Raises:
            ColugoError: if there is no looking for them.
        """

    async def ask(self, found: Found, question: str, **arguments: Any) -> Any:
        """Ask a stream one of the questions of `colugo.introspection.stream_questions`.

        Args:
            found: which.
            question: its name.
            arguments: of the question, but for the stream.

        Returns:
            The answer: what JSON has.

        Raises:
            ColugoError: if it does not answer, or cannot do what it is asked.
        """

"""The interface and base of the roles of a soak."""

from typing import Any, Protocol, Self

from colugo import Node


class Role(Protocol):
    """The work of a process within an `async with` block."""

    async def __aenter__(self) -> Self:
        """Open the role."""

    async def __aexit__(self, *_: object) -> None:
        """Close the role."""

    async def play(self) -> None:
        """Work until done or cancelled."""

    def enough(self) -> None:
        """Stop sending, or expect no more messages."""

    def state(self) -> dict[str, Any]:
        """Return its counters."""


class OnNode:
    """The base of roles that use a node.

    Args:
        node: the node.
    """

    def __init__(self, node: Node) -> None:
        self.node = node

    def state(self) -> dict[str, Any]:
        """Return the node's counters."""
        return {"callback_errors": self.node.callback_errors}

    async def __aenter__(self) -> Self:
        await self.node.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.node.aclose()

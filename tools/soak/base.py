"""What the roles of a soak have in common."""

from typing import Any, Protocol, Self

from colugo import Node


class Role(Protocol):
    """What a process does, as long as it is open."""

    async def __aenter__(self) -> Self:
        """Open it."""

    async def __aexit__(self, *_: object) -> None:
        """Close it."""

    async def play(self) -> None:
        """Do it, until it is done or cancelled."""

    def enough(self) -> None:
        """No more is sent, or to be sent."""

    def state(self) -> dict[str, Any]:
        """What it knows of itself."""


class OnNode:
    """Something that a node does.

    Args:
        node: the node.
    """

    def __init__(self, node: Node) -> None:
        self.node = node

    def state(self) -> dict[str, Any]:
        """What the node knows of itself."""
        return {"callback_errors": self.node.callback_errors}

    async def __aenter__(self) -> Self:
        await self.node.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.node.aclose()

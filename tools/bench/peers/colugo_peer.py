"""colugo, measured: a node on a thread of its own."""

from collections.abc import Callable
from contextlib import ExitStack

from colugo import Node, Publisher, Repeater, Subscriber


class ColugoPeer:
    """A node; the number of its network is part of its realm."""

    def __init__(self, network: int) -> None:
        self._node = Node("bench", realm=f"bench-{network}", scope="host")
        self._running = ExitStack()

    def publisher(self, topic: str) -> Publisher:
        """Add a publisher, which is advertised over mDNS."""
        return self._node.add_publisher(topic)

    def subscriber(
        self, topic: str, on_message: Callable[[bytes], None], on_connect: Callable[[], None] | None = None
    ) -> Subscriber:
        """Add a subscriber."""
        return self._node.add_subscriber(topic, on_message, on_connect)

    def repeat(self, delay_ms: int, action: Callable[[], None]) -> Repeater:
        """Call back at a fixed rate, on the node's loop."""
        return self._node.add_repeater(delay_ms, action)

    def call(self, action: Callable[[], None]) -> None:
        """Call back soon, on the node's loop."""
        self._node.loop.add_callback(action)

    def start(self) -> None:
        """Start the node on its thread."""
        self._running.enter_context(self._node.running())

    def close(self) -> None:
        """Stop the node."""
        self._running.close()


make = ColugoPeer

"""A network of nodes without a network, for tests of programs that use colugo.

A pytest plugin, there as soon as colugo is installed:

```python
def test_the_alarm_goes_off(colugo_network):
    with colugo_network.node("sensor").running() as sensor, colugo_network.node("alarm").running() as alarm:
        publisher = sensor.add_publisher("temperature")
        alarms = alarm.add_subscriber("temperature")
        sensor.run(publisher.ready())
        publisher.send("95")
        assert alarm.run(anext(alarms)) == "95"
```
"""

from collections.abc import Iterator
from typing import Any

import pytest

from colugo.net.discovery.memory_directory import MemoryDirectory, MemoryNetwork
from colugo.node import Node


class Network:
    """Nodes that find each other in memory instead of over mDNS; messages use real sockets of this host."""

    def __init__(self) -> None:
        self._network = MemoryNetwork()
        self._nodes: list[Node] = []

    def directory(self) -> MemoryDirectory:
        """A directory of this network, for `YourNode(…, directory=network.directory())`."""
        return MemoryDirectory(self._network)

    def node(self, name: str, **options: Any) -> Node:
        """A node of this network, not started yet.

        Args:
            name: as of `Node`.
            options: more arguments of `Node`; the scope is `"host"` if it is left out.
        """
        node = Node(name, directory=self.directory(), **{"scope": "host", **options})
        self._nodes.append(node)
        return node

    def stop(self) -> None:
        """Stop the nodes that were made here."""
        for node in self._nodes:
            node.stop()


@pytest.fixture
def colugo_network() -> Iterator[Network]:
    """A network of its own for each test; its nodes are stopped afterwards."""
    network = Network()
    yield network
    network.stop()

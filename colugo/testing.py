"""A network in memory, for tests of programs that use colugo.

A pytest plugin, which pytest finds as soon as colugo is installed:

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
from typing import Unpack

import pytest

from colugo.config import NodeOptions
from colugo.net.discovery.memory_directory import MemoryDirectory, MemoryNetwork
from colugo.node import Node


class Network:
    """Nodes that discover each other in memory, without mDNS; messages use real sockets of this host."""

    def __init__(self) -> None:
        self._network = MemoryNetwork()
        self._nodes: list[Node] = []

    def directory(self) -> MemoryDirectory:
        """Return a directory of this network.

        For `YourNode(…, directory=network.directory())`, and the same with `Messenger`, `Relay` and
        `ATEDispatcher`.
        """
        return MemoryDirectory(self._network)

    def node(self, name: str, **options: Unpack[NodeOptions]) -> Node:
        """Make a node of this network, which is not started yet.

        Args:
            name: as for `Node`.
            **options: more options of `Node`; the scope is `"host"` if it is left out.
        """
        options.setdefault("scope", "host")
        options.setdefault("directory", self.directory())
        node = Node(name, **options)
        self._nodes.append(node)
        return node

    def stop(self) -> None:
        """Stop the nodes that `node()` has made."""
        for node in self._nodes:
            node.stop()


@pytest.fixture
def colugo_network() -> Iterator[Network]:
    """Give each test its own network, whose nodes are stopped afterwards."""
    network = Network()
    yield network
    network.stop()

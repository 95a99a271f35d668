"""Sources and targets that use a node."""

from colugo.errors import ConnectorNotInitialized
from colugo.node import Node


class NodeMixin:
    """A source or target that gets the node of its distributor."""

    _node: Node | None = None

    def attach(self, node: Node | None) -> None:
        """Take the node of the distributor, before `open`.

        Args:
            node: the node; None if the distributor has none.
        """
        self._node = node

    @property
    def node(self) -> Node:
        """The node.

        Raises:
            ConnectorNotInitialized: if the distributor has none.
        """
        if self._node is None:
            raise ConnectorNotInitialized(
                f"{type(self).__name__} needs a distributor with a node: Distributor(node)"
            )
        return self._node

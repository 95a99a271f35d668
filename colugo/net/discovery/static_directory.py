"""The directory for networks without multicast: nodes that are given by address tell of all the others."""

import asyncio
import logging
from collections.abc import Iterable
from functools import partial

from colugo.net.addresses.probe import candidates
from colugo.net.directory import DirectoryChange, DirectoryEvent, DirectoryStatus, Listener
from colugo.net.discovery.exchange import Exchange
from colugo.net.discovery.liveness import is_dead
from colugo.net.discovery.peer_link import PeerLink
from colugo.net.discovery.static_peers import StaticPeer
from colugo.net.runtime import Runtime
from colugo.net.transport.tasks import Tasks
from colugo.protocol.advertisement import Advertisement, SocketKind, endpoint
from colugo.protocol.membership.member_link import MemberState
from colugo.protocol.membership.membership import Membership

LINKS = 2
"""To how many nodes one links that it was not given: two, so that none of them is needed."""
_UP_WITHIN_S = 3.0
_PASS_OVER_S = 30.0
_HEAD_START_S = 0.25
"""Connections of sockets break together with links; their loss is to be told first, as one."""
LINKED, LINKED_TO_ITSELF, NOT_LINKED = "linked", "this node itself", "not linked"
_CHANGES = {
    MemberState.ALIVE: DirectoryChange.UP,
    MemberState.GONE: DirectoryChange.DOWN,
    MemberState.EXPIRED: DirectoryChange.LOST,
}


class StaticDirectory:
    """A node's directory of those that it is linked with, directly or by others.

    Beside the peers that it was given, it links to the two of the lowest ids among those it knows: so those
    who were given the same peer stay together when that is gone.

    Args:
        runtime: the node's.
        peers: given by address.
    """

    def __init__(self, runtime: Runtime, peers: Iterable[StaticPeer] = ()) -> None:
        self._runtime = runtime
        self._peers = list(peers)
        self._tasks = Tasks(f"{runtime.name} peers", runtime.logger)
        self._own: dict[bytes, Advertisement] = {}
        self._own_id = runtime.uuid.hex
        self._listener: Listener | None = None
        self._membership: Membership | None = None
        self._exchange: Exchange | None = None
        self._nodes: dict[str, Advertisement] = {}
        """The endpoints of the nodes in the table, without this one's."""
        self._nearby: dict[str, Advertisement] = {}
        self._chosen: dict[str, PeerLink] = {}
        self._passed_over: dict[str, float] = {}
        self._probing: set[str] = set()
        self._choosing = False
        self._publishing = False
        self._given: list[PeerLink] = []

    @property
    def status(self) -> DirectoryStatus:
        """What there is to say of it."""
        return DirectoryStatus(peers={link.label: _state(link) for link in self._given})

    async def open(self, listener: Listener) -> None:
        """Link to the given peers, and let others link to this node."""
        loop = asyncio.get_running_loop()
        self._listener = listener
        self._membership = Membership(self._own_id, self._runtime.realm, self._changed, loop.time())
        self._exchange = Exchange(self._runtime, self._membership, self._on_links)
        find = self._find_given
        self._given = [self._exchange.link(str(peer), partial(find, peer)) for peer in self._peers]

    def advertise(self, advertisement: Advertisement) -> None:
        """Tell everyone who is linked."""
        self._own[advertisement.socket_id] = advertisement
        self._tell(DirectoryChange.UP, advertisement)
        self._publish_soon()

    def withdraw(self, advertisement: Advertisement) -> None:
        """Tell everyone that it is gone."""
        if self._own.pop(advertisement.socket_id, None) is not None:
            self._tell(DirectoryChange.DOWN, advertisement)
            self._publish_soon()

    def suspect(self, advertisement: Advertisement) -> None:
        """Look whether its node is dead; if it is, everyone is told."""
        self._probe(advertisement.node_id.hex())

    def vouch(self, advertisement: Advertisement) -> None:
        """Nothing to do: with the connection, the links to its node come back, and tell of it."""

    def hear(self, event: DirectoryEvent) -> None:
        """Take in what mDNS tells of nodes: one that has links to others says so, and is linked to."""
        node = event.advertisement
        if node.kind is not SocketKind.NODE or node.realm != self._runtime.realm:
            return
        if event.change is DirectoryChange.UP:
            self._nearby[node.node_id.hex()] = node
        else:
            self._nearby.pop(node.node_id.hex(), None)
        self._choose_soon()

    async def close(self) -> None:
        """Tell everyone that this node goes, and end the links."""
        self._listener = None
        if self._exchange is None or self._membership is None:
            return
        self._membership.leave(asyncio.get_running_loop().time())
        exchange, self._exchange = self._exchange, None
        await self._tasks.cancel()
        await exchange.close()

    # --- what this node has

    def _publish_soon(self) -> None:
        if not self._publishing and self._exchange is not None:
            self._publishing = True
            asyncio.get_running_loop().call_soon(self._publish)

    def _publish(self) -> None:
        self._publishing = False
        if self._membership is None or self._exchange is None:
            return
        # the endpoint first, should there be too many
        own = sorted(self._own.values(), key=lambda one: one.kind is not SocketKind.NODE)
        told = self._membership.publish(own, asyncio.get_running_loop().time())
        if told < len(own):
            text = f"this node has {len(own)} sockets; over links it tells of {told}"
            self._runtime.endpoint.complain("sockets", text)
        self._exchange.flush()

    # --- what others have

    def _changed(self, state: MemberState, advertisement: Advertisement) -> None:
        if advertisement.node_id.hex() == self._own_id:  # told already
            return
        self._tell(_CHANGES[state], advertisement)
        if advertisement.kind is SocketKind.NODE:
            self._choose_soon()
            if state is MemberState.ALIVE:
                self._look_after_predecessors(advertisement)
                self._nodes[advertisement.node_id.hex()] = advertisement
            else:
                self._nodes.pop(advertisement.node_id.hex(), None)

    def _tell(self, change: DirectoryChange, advertisement: Advertisement) -> None:
        if self._listener is not None:
            self._listener(DirectoryEvent(change, advertisement))

    def _look_after_predecessors(self, node: Advertisement) -> None:
        """Who had the port of a new node before is probably dead."""
        for other in self._nodes.values():
            if (
                other.node_id != node.node_id
                and (other.port, other.host_id) == (node.port, node.host_id)
                and set(other.addresses) & set(node.addresses)
            ):
                self._probe(other.node_id.hex())

    # --- who is dead

    def _probe(self, node: str) -> None:
        if node not in self._probing and node in self._nodes and self._exchange is not None:
            self._probing.add(node)
            self._tasks.spawn(self._look_after(node), f"look after {node}")

    async def _look_after(self, node: str) -> None:
        try:
            await asyncio.sleep(_HEAD_START_S)
            known = self._nodes.get(node)
            dead = known is not None and await is_dead(self._runtime, known)
            if dead and self._membership is not None and self._exchange is not None:
                self._membership.report_dead(node, asyncio.get_running_loop().time())
                self._exchange.flush()
        finally:
            self._probing.discard(node)

    # --- links

    def _on_links(self, lost: str | None) -> None:
        if lost is not None:
            self._probe(lost)
        self._choose_soon()

    def _choose_soon(self) -> None:
        if not self._choosing and self._exchange is not None:
            self._choosing = True
            asyncio.get_running_loop().call_soon(self._choose)

    def _choose(self) -> None:
        """Link to the two nodes of the lowest ids; to other ones only until these links are up."""
        self._choosing = False
        if self._exchange is None:
            return
        now = asyncio.get_running_loop().time()
        self._passed_over = {one: until for one, until in self._passed_over.items() if until > now}
        nodes = self._nodes | {one: node for one, node in self._nearby.items() if node.linked}
        nodes.pop(self._own_id, None)
        self._unlink_others(sorted(nodes))
        linked = self._exchange.linked_nodes()
        for node in sorted(nodes.keys() - self._passed_over.keys())[:LINKS]:
            if node not in linked and node not in self._chosen:
                find = partial(self._find_node, node)
                link = self._exchange.link(str(nodes[node]), find, level=logging.DEBUG)
                self._chosen[node] = link
                asyncio.get_running_loop().call_later(_UP_WITHIN_S, self._check, node, link)
        if self._own_id in self._nearby:  # else there is no mDNS
            self._runtime.endpoint.say_linked(linked=bool(linked - self._nearby.keys()))

    def _unlink_others(self, nodes: list[str]) -> None:
        """Leave those that are no more or passed over, and when two are up, those of higher ids."""
        if self._exchange is None:
            return
        up = 0
        for node in sorted(self._chosen, key=lambda one: (one not in nodes, one)):
            link = self._chosen[node]
            if node not in nodes or up >= LINKS or (node in self._passed_over and not link.up):
                del self._chosen[node]
                self._exchange.unlink(link)
            up += link.up

    def _check(self, node: str, link: PeerLink) -> None:
        """One that cannot be linked to is passed over for a while."""
        if self._chosen.get(node) is link and not link.up:
            loop = asyncio.get_running_loop()
            self._passed_over[node] = loop.time() + _PASS_OVER_S
            loop.call_later(_PASS_OVER_S + 1, self._choose_soon)
            self._choose_soon()

    async def _find_given(self, peer: StaticPeer) -> list[str]:
        return await peer.endpoints(self._runtime.scope)

    async def _find_node(self, node: str) -> list[str]:
        known = self._nodes.get(node) or self._nearby.get(node)
        if known is None:
            return []
        addresses = candidates(known, self._runtime.scope, self._runtime.host_id)
        return [endpoint(one, known.port) for one in addresses]


def _state(link: PeerLink) -> str:
    if link.is_self:
        return LINKED_TO_ITSELF
    return LINKED if link.up else NOT_LINKED

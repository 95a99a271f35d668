"""The directory for networks without multicast: static peers pass on the sockets of all nodes."""

import asyncio
import logging
from collections.abc import Iterable
from functools import partial

from colugo.errors import FrameError, RemoteError, RequestTimeoutError
from colugo.net.addresses.probe import ProbeAnswer, candidates, probe
from colugo.net.directory import DirectoryChange, DirectoryEvent, DirectoryStatus, Listener
from colugo.net.discovery.exchange import Exchange
from colugo.net.discovery.peer_link import PeerLink
from colugo.net.discovery.static_peers import StaticPeer
from colugo.net.node_endpoint import ask
from colugo.net.runtime import Runtime
from colugo.net.transport.tasks import Tasks
from colugo.protocol.advertisement import Advertisement, SocketKind, endpoint
from colugo.protocol.membership.member_link import MemberState
from colugo.protocol.membership.membership import Membership

LINKS = 2
"""The number of links to other nodes than static peers: two, so that the network survives the loss of one."""
_UP_WITHIN_S = 3.0
_SKIP_S = 30.0
_PROBE_AFTER_S = 0.25
"""Connections of sockets break together with links; the sockets' losses should be reported first."""
_ANSWER_MS = 1000
LINKED, LINKED_TO_ITSELF, NOT_LINKED = "linked", "this node itself", "not linked"
_CHANGES = {
    MemberState.ALIVE: DirectoryChange.UP,
    MemberState.GONE: DirectoryChange.DOWN,
    MemberState.EXPIRED: DirectoryChange.LOST,
}


class StaticDirectory:
    """A directory of the nodes that a node is linked with, directly or indirectly.

    In addition to its static peers, the node links to the two known nodes with the lowest ids, so that nodes
    with the same static peer stay connected when that peer ends.
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
        """The endpoints of the other nodes in the table, by node id."""
        self._nearby: dict[str, Advertisement] = {}
        self._chosen: dict[str, PeerLink] = {}
        self._skipped_until: dict[str, float] = {}
        self._probing: set[str] = set()
        self._choosing = False
        self._publishing = False
        self._given: list[PeerLink] = []

    @property
    def status(self) -> DirectoryStatus:
        """The state of the links to static peers."""
        return DirectoryStatus(peers={link.label: _state(link) for link in self._given})

    async def open(self, listener: Listener) -> None:
        """Link to the static peers, and accept links of other nodes."""
        loop = asyncio.get_running_loop()
        self._listener = listener
        self._membership = Membership(self._own_id, self._runtime.realm, self._on_member_change, loop.time())
        self._exchange = Exchange(self._runtime, self._membership, self._on_links)
        find = self._find_given
        self._given = [self._exchange.link(str(peer), partial(find, peer)) for peer in self._peers]

    def advertise(self, advertisement: Advertisement) -> None:
        """Advertise a socket to all linked nodes."""
        self._own[advertisement.socket_id] = advertisement
        self._notify(DirectoryChange.UP, advertisement)
        self._schedule_publication()

    def withdraw(self, advertisement: Advertisement) -> None:
        """Withdraw a socket from all linked nodes."""
        if self._own.pop(advertisement.socket_id, None) is not None:
            self._notify(DirectoryChange.DOWN, advertisement)
            self._schedule_publication()

    def suspect(self, advertisement: Advertisement) -> None:
        """Probe the socket's node; if it is dead, all linked nodes learn of it."""
        self._probe(advertisement.node_id.hex())

    def vouch(self, advertisement: Advertisement) -> None:
        """Do nothing: the links to its node recover with the connection, and restore the socket."""

    def observe(self, event: DirectoryEvent) -> None:
        """Take note of a node that mDNS has found; nodes that advertise links get one from this node."""
        node = event.advertisement
        if node.kind is not SocketKind.NODE or node.realm != self._runtime.realm:
            return
        if event.change is DirectoryChange.UP:
            self._nearby[node.node_id.hex()] = node
        else:
            self._nearby.pop(node.node_id.hex(), None)
        self._schedule_choice()

    async def close(self) -> None:
        """Announce to all linked nodes that this node leaves, and end the links."""
        self._listener = None
        if self._exchange is None or self._membership is None:
            return
        self._membership.leave(asyncio.get_running_loop().time())
        exchange, self._exchange = self._exchange, None
        await self._tasks.cancel()
        await exchange.close()

    def _schedule_publication(self) -> None:
        if not self._publishing and self._exchange is not None:
            self._publishing = True
            asyncio.get_running_loop().call_soon(self._publish)

    def _publish(self) -> None:
        self._publishing = False
        if self._membership is None or self._exchange is None:
            return
        # the endpoint first, in case there are too many
        own = sorted(self._own.values(), key=lambda one: one.kind is not SocketKind.NODE)
        carried = self._membership.publish(own, asyncio.get_running_loop().time())
        if carried < len(own):
            text = f"this node has {len(own)} sockets, but links carry only {carried} of them"
            self._runtime.endpoint.warn("sockets", text)
        self._exchange.flush()

    def _on_member_change(self, state: MemberState, advertisement: Advertisement) -> None:
        if advertisement.node_id.hex() == self._own_id:
            return
        self._notify(_CHANGES[state], advertisement)
        if advertisement.kind is SocketKind.NODE:
            self._schedule_choice()
            if state is MemberState.ALIVE:
                self._probe_predecessors(advertisement)
                self._nodes[advertisement.node_id.hex()] = advertisement
            else:
                self._nodes.pop(advertisement.node_id.hex(), None)

    def _notify(self, change: DirectoryChange, advertisement: Advertisement) -> None:
        if self._listener is not None:
            self._listener(DirectoryEvent(change, advertisement))

    def _probe_predecessors(self, node: Advertisement) -> None:
        """Probe nodes that had the port of a new node before: they are probably dead."""
        for other in self._nodes.values():
            if (
                other.node_id != node.node_id
                and (other.port, other.host_id) == (node.port, node.host_id)
                and set(other.addresses) & set(node.addresses)
            ):
                self._probe(other.node_id.hex())

    def _probe(self, node: str) -> None:
        if node not in self._probing and node in self._nodes and self._exchange is not None:
            self._probing.add(node)
            self._tasks.spawn(self._accuse_if_dead(node), f"probe {node}")

    async def _accuse_if_dead(self, node: str) -> None:
        try:
            await asyncio.sleep(_PROBE_AFTER_S)
            known = self._nodes.get(node)
            dead = known is not None and await self._is_dead(known)
            if dead and self._membership is not None and self._exchange is not None:
                self._membership.report_dead(node, asyncio.get_running_loop().time())
                self._exchange.flush()
        finally:
            self._probing.discard(node)

    async def _is_dead(self, node: Advertisement) -> bool:
        """Return True if the node's port is closed, or belongs to another program; silence proves nothing."""
        answer, address = await probe(self._candidates(node), node.port)
        if answer is not ProbeAnswer.ACCEPTED:
            return answer is ProbeAnswer.REFUSED
        try:
            found = await ask(self._runtime.sockets, endpoint(address, node.port), "node", _ANSWER_MS)
        except RequestTimeoutError:  # it may be busy; if not, its ticks stop
            return False
        except (FrameError, RemoteError):
            return True
        return not isinstance(found, dict) or found.get("id") != node.node_id.hex()

    def _candidates(self, node: Advertisement) -> list[str]:
        return candidates(node, self._runtime.scope, self._runtime.host_id)

    def _on_links(self, lost: str | None) -> None:
        if lost is not None:
            self._probe(lost)
        self._schedule_choice()

    def _schedule_choice(self) -> None:
        if not self._choosing and self._exchange is not None:
            self._choosing = True
            asyncio.get_running_loop().call_soon(self._choose)

    def _choose(self) -> None:
        """Link to the two nodes with the lowest ids; keep links to others until these are up."""
        self._choosing = False
        if self._exchange is None:
            return
        now = asyncio.get_running_loop().time()
        self._skipped_until = {one: until for one, until in self._skipped_until.items() if until > now}
        nodes = self._nodes | {one: node for one, node in self._nearby.items() if node.linked}
        nodes.pop(self._own_id, None)
        self._unlink_others(sorted(nodes))
        linked = self._exchange.linked_nodes()
        for node in sorted(nodes.keys() - self._skipped_until.keys())[:LINKS]:
            if node not in linked and node not in self._chosen:
                find = partial(self._find_node, node)
                link = self._exchange.link(str(nodes[node]), find, level=logging.DEBUG)
                self._chosen[node] = link
                asyncio.get_running_loop().call_later(_UP_WITHIN_S, self._check, node, link)
        if self._own_id in self._nearby:  # otherwise mDNS does not work
            self._runtime.endpoint.advertise_linked(linked=bool(linked - self._nearby.keys()))

    def _unlink_others(self, nodes: list[str]) -> None:
        """End links to nodes that are gone or skipped and, once two are up, to those with higher ids."""
        if self._exchange is None:
            return
        up = 0
        for node in sorted(self._chosen, key=lambda one: (one not in nodes, one)):
            link = self._chosen[node]
            if node not in nodes or up >= LINKS or (node in self._skipped_until and not link.up):
                del self._chosen[node]
                self._exchange.unlink(link)
            up += link.up

    def _check(self, node: str, link: PeerLink) -> None:
        """Skip a node for a while if the link to it is not up by now."""
        if self._chosen.get(node) is link and not link.up:
            loop = asyncio.get_running_loop()
            self._skipped_until[node] = loop.time() + _SKIP_S
            loop.call_later(_SKIP_S + 1, self._schedule_choice)
            self._schedule_choice()

    async def _find_given(self, peer: StaticPeer) -> list[str]:
        return await peer.endpoints(self._runtime.scope)

    async def _find_node(self, node: str) -> list[str]:
        known = self._nodes.get(node) or self._nearby.get(node)
        if known is None:
            return []
        return [endpoint(one, known.port) for one in self._candidates(known)]


def _state(link: PeerLink) -> str:
    if link.is_self:
        return LINKED_TO_ITSELF
    return LINKED if link.up else NOT_LINKED

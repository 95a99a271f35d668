"""Gathering what `colugo nodes`, `doctor` and `why` speak of: by mDNS, and by asking the nodes."""

import asyncio
import time
from collections.abc import Iterable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

from colugo.cli.network.connecting import try_all
from colugo.cli.network.listening import Listening
from colugo.cli.network.local_checks import look_around
from colugo.config import NodeConfig
from colugo.diagnosis.facts import Facts, PeerFact, Reach, is_loopback
from colugo.errors import ColugoError
from colugo.net.addresses.interfaces import HOST, Scope, without_zone
from colugo.net.discovery.static_peers import StaticPeer
from colugo.net.node_endpoint import ask
from colugo.net.transport.host import host_id
from colugo.net.transport.sockets import Sockets
from colugo.protocol.advertisement import endpoint
from colugo.protocol.description.node_description import (
    DESCRIBE,
    KnownSocket,
    NodeDescription,
    from_plain,
)
from colugo.protocol.version import __version__

_ANSWER_MS = 2000
_ASKED_AT_ONCE = 32
_MOST_ROUNDS = 4
_NODE = "node"


@dataclass(frozen=True, slots=True)
class GatherOptions:
    """What to gather, and where.

    Attributes:
        realm: None for `COLUGO_REALM`.
        scope: None for `COLUGO_SCOPE`.
        seconds: how long to listen for records.
        surroundings: whether to look at multicast, ports and hosts, too.
        hosts: addresses or names of hosts that should be there.
    """

    realm: str | None = None
    scope: str | None = None
    seconds: float = 1.0
    surroundings: bool = False
    hosts: Sequence[str] = ()

    def config(self) -> NodeConfig:
        """Return the configuration that a node would have here.

        Raises:
            ConfigurationError: if an option or a variable of the environment cannot work.
        """
        return NodeConfig.resolve(realm=self.realm, scope=self.scope)


async def gather(wish: GatherOptions) -> Facts:
    """Listen to all realms on the scope and on this machine, connect to what is heard, and ask the nodes.

    Raises:
        ConfigurationError: if a value of the environment or of the wish cannot work: no node would start.
    """
    config = wish.config()
    scope = config.scope
    facts = Facts(
        realm=config.realm, scope=scope.name, scope_note=scope.note, host_id=host_id(), version=__version__
    )
    async with AsyncExitStack() as stack:
        listened = [
            await stack.enter_async_context(Listening(one))
            # who keeps to this machine is heard on its loopback only
            for one in dict.fromkeys((scope, HOST))
        ]
        around = look_around(facts, scope, wish.hosts, wish.seconds, thorough=wish.surroundings)
        await asyncio.gather(around, asyncio.sleep(wish.seconds))
        for listening in listened:
            facts.sockets.update(listening.sockets)
            facts.heard.update(listening.sockets)
            facts.ignored.update(listening.ignored)
        local = set(listened[-1].sockets)
    sockets = config.sockets()
    try:
        await _Asker(facts, scope, sockets, local).run(config.peers)
    finally:
        sockets.close()
    return facts


class _Asker:
    """Connects and asks until nothing new is learned.

    Args:
        facts: what is known, to be added to.
        scope: of this machine.
        sockets: where ZeroMQ sockets are made.
        local: ids of sockets that can be met on this machine's loopback, though the host id differs (of a
            container that shares only the network).
    """

    def __init__(self, facts: Facts, scope: Scope, sockets: Sockets, local: set[str]) -> None:
        self._facts = facts
        self._local = local
        self._own = {without_zone(address) for address in scope.addresses}
        self._zones = scope.zones
        self._scope = scope
        self._sockets = sockets
        self._limit = asyncio.Semaphore(_ASKED_AT_ONCE)

    async def run(self, peers: Iterable[StaticPeer]) -> None:
        """Do it.

        Args:
            peers: the static peers of this environment.
        """
        facts = self._facts
        facts.peers.extend(await asyncio.gather(*map(self._ask_peer, peers)))
        asked: set[str] = set(facts.nodes)
        for _ in range(_MOST_ROUNDS):
            await self._connect()
            endpoints = {
                one.node_id: one
                for one in facts.sockets.values()
                if one.kind == _NODE and one.node_id not in asked
            }
            if not endpoints:
                break
            asked |= endpoints.keys()
            await asyncio.gather(*map(self._ask_node, endpoints.values()))
        without = {one.node_id for one in facts.sockets.values()} - facts.nodes.keys() - facts.silent.keys()
        facts.silent.update(dict.fromkeys(without, "its own endpoint is not advertised"))

    async def _connect(self) -> None:
        """Try the addresses that have not been tried."""
        reach = self._facts.reach
        targets = {
            (address, one.port): self._targets(one, address)
            for one in self._facts.sockets.values()
            for address in one.addresses
            if (address, one.port) not in reach
        }
        found = await try_all((target, port) for (_, port), many in targets.items() for target in many)
        order = list(Reach)
        for place, many in targets.items():
            if many:
                reach[place] = min((found[target, place[1]] for target in many), key=order.index)

    def _targets(self, one: KnownSocket, address: str) -> list[str]:
        """What to connect to for an advertised address; nothing if it is not meant for this host."""
        if self._scope.host_only and not is_loopback(address):
            return []
        if one.host_id != self._facts.host_id:
            if is_loopback(address) and one.socket_id not in self._local:
                return []
            # many hosts have the same address on a bridge of their own, such as Docker's
            if address in self._own and not self._own.issuperset(one.addresses):
                return []
        if address.lower().startswith("fe80:"):
            return [f"{address}%{zone}" for zone in self._zones]
        return [address]

    async def _ask_node(self, one: KnownSocket) -> None:
        facts = self._facts
        opened = [a for a in one.addresses if facts.reach.get((a, one.port)) is Reach.OPEN]
        if not opened:
            outcomes = {str(facts.reach[a, one.port]) for a in one.addresses if (a, one.port) in facts.reach}
            facts.silent[one.node_id] = f"connections to it: {', '.join(sorted(outcomes)) or 'none possible'}"
            return
        target = self._targets(one, opened[0])[0]
        try:
            await self._describe(endpoint(target, one.port))
        except ColugoError as error:
            facts.silent[one.node_id] = str(error)

    async def _describe(self, where: str) -> NodeDescription:
        """Enter what a node says of itself, and how many ms its clock is ahead of ours."""
        async with self._limit:
            began_ns = time.time_ns()
            data = await ask(self._sockets, where, DESCRIBE, _ANSWER_MS)
            ended_ns = time.time_ns()
        node = from_plain(data)
        facts = self._facts
        facts.nodes[node.uuid] = node
        facts.answered_at[node.uuid] = where
        facts.skew_ms[node.uuid] = (node.time_ns - (began_ns + ended_ns) / 2) / 1e6
        for one in node.known:
            facts.sockets.setdefault(one.socket_id, one)
        if all(map(is_loopback, node.addresses)):
            self._local.update(one.socket_id for one in node.known)
        return node

    async def _ask_peer(self, peer: StaticPeer) -> PeerFact:
        addresses = await peer.addresses(self._scope)
        if not addresses:
            return PeerFact(str(peer), None, "its name has no address that this scope may use")
        found = await try_all((address, peer.port) for address in addresses)
        opened = [address for (address, _), reach in found.items() if reach is Reach.OPEN]
        if not opened:
            return PeerFact(str(peer), next(iter(found.values())), f"tried: {', '.join(addresses)}")
        try:
            node = await self._describe(endpoint(opened[0], peer.port))
        except ColugoError as error:
            return PeerFact(str(peer), Reach.OPEN, str(error))
        return PeerFact(str(peer), Reach.OPEN, node=node.name, realm=node.realm)

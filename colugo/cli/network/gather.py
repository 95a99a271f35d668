"""Collection of the facts that `colugo nodes`, `doctor` and `why` report, over mDNS and from the nodes."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from colugo.cli.network.connecting import try_all
from colugo.cli.network.local_checks import check_surroundings
from colugo.config import NodeConfig
from colugo.diagnosis.facts import Facts, PeerFact, Reach, is_loopback
from colugo.errors import ColugoError
from colugo.introspection.describe import as_known
from colugo.net.addresses.interfaces import HOST, Scope, without_zone
from colugo.net.directory import DirectoryChange, DirectoryEvent
from colugo.net.discovery.static_peers import StaticPeer
from colugo.net.mdns.mdns_directory import MdnsDirectory
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
    """The options of `gather`.

    Attributes:
        realm: None for `COLUGO_REALM`.
        scope: None for `COLUGO_SCOPE`.
        seconds: how long to listen for mDNS records.
        surroundings: True to test multicast, port 5353 and neighbouring hosts, too.
        hosts: addresses or names of hosts that the user expects.
    """

    realm: str | None = None
    scope: str | None = None
    seconds: float = 1.0
    surroundings: bool = False
    hosts: Sequence[str] = ()

    def config(self) -> NodeConfig:
        """Return the configuration that a node would have here."""
        return NodeConfig.resolve(realm=self.realm, scope=self.scope)


async def gather(options: GatherOptions) -> Facts:
    """Collect the records of all realms, connect to what they advertise, and query the nodes.

    Raises:
        ConfigurationError: if an option or an environment variable is invalid, so that no node would start.
    """
    config = options.config()
    scope = config.scope
    facts = Facts(
        realm=config.realm, scope=scope.name, scope_note=scope.note, host_id=host_id(), version=__version__
    )
    async with AsyncExitStack() as stack:
        listeners = [
            await stack.enter_async_context(_listen(one))
            # nodes in scope host advertise on the loopback only
            for one in dict.fromkeys((scope, HOST))
        ]
        checks = check_surroundings(
            facts, scope, options.hosts, options.seconds, thorough=options.surroundings
        )
        await asyncio.gather(checks, asyncio.sleep(options.seconds))
        for directory, found in listeners:
            facts.sockets.update(found)
            facts.discovered.update(found)
            facts.ignored.update(directory.status.ignored)
        _, on_loopback = listeners[-1]
        local = set(on_loopback)
    sockets = config.sockets()
    try:
        await _NodeQueries(facts, scope, sockets, local).run(config.peers)
    finally:
        sockets.close()
    return facts


@asynccontextmanager
async def _listen(scope: Scope) -> AsyncIterator[tuple[MdnsDirectory, dict[str, KnownSocket]]]:
    """Collect the sockets that are advertised in a scope, in all realms, by id."""
    directory = MdnsDirectory(scope)
    found: dict[str, KnownSocket] = {}

    def on_event(event: DirectoryEvent) -> None:
        key = event.advertisement.socket_id.hex()
        if event.change is DirectoryChange.UP:
            found[key] = as_known(event.advertisement)
        else:
            found.pop(key, None)

    await directory.open(on_event)
    try:
        yield directory, found
    finally:
        await directory.close()


class _NodeQueries:
    """Rounds of connections and queries, until no new node turns up.

    `local` has the ids of sockets that are reachable on this machine's loopback though their host id differs:
    those of a container that shares only the network namespace.
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
        """Query the static peers in `COLUGO_PEERS`, then all nodes."""
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
        """Try to connect to the addresses that have not been tried yet."""
        reach = self._facts.reach
        targets = {
            (address, one.port): self._targets(one, address)
            for one in self._facts.sockets.values()
            for address in one.addresses
            if (address, one.port) not in reach
        }
        found = await try_all((target, port) for (_, port), many in targets.items() for target in many)
        order = list(Reach)
        for advertised, many in targets.items():
            if many:
                reach[advertised] = min((found[target, advertised[1]] for target in many), key=order.index)

    def _targets(self, one: KnownSocket, address: str) -> list[str]:
        """List the addresses to try for an advertised one; none if it is not meant for this host."""
        if self._scope.host_only and not is_loopback(address):
            return []
        if one.host_id != self._facts.host_id:
            if is_loopback(address) and one.socket_id not in self._local:
                return []
            # many hosts have the same address on a local bridge, such as Docker's
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
        """Store the description of a node, and how many ms its clock is ahead of this machine's."""
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

"""The facts behind a diagnosis: advertisements, answers of nodes, and tests of this machine's network."""

import dataclasses
import ipaddress
from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum

from colugo.protocol.description.node_description import KnownSocket, NodeDescription


class Reach(StrEnum):
    """The outcome of a connection attempt to an address and port.

    OPEN: connected. REFUSED: the machine answered that nothing listens there. SILENT: no answer in time.
    NO_HOST: no machine on the network has the address. UNREACHABLE: no route to the address.
    """

    OPEN = "open"
    REFUSED = "refused"
    SILENT = "silent"
    NO_HOST = "no host"
    UNREACHABLE = "unreachable"


class Multicast(StrEnum):
    """The outcome of a test query to the mDNS group on one interface.

    WORKS: the query came back and was answered. NOT_SENT: the system refused to send it. NOT_RECEIVED: it
    was sent but did not come back. NOT_ANSWERED: it came back, but its answer did not arrive.
    """

    WORKS = "works"
    NOT_SENT = "not sent"
    NOT_RECEIVED = "not received"
    NOT_ANSWERED = "not answered"


@dataclass(frozen=True, slots=True)
class InterfaceFact:
    """An address in scope.

    Attributes:
        prefix: the length of the network prefix in bits.
        multicast: the outcome of a test query there; None if there was none.
        error: the system's error, if the query was not sent.
    """

    name: str
    address: str
    prefix: int
    multicast: Multicast | None = None
    error: str = ""
    round_trip_ms: float = 0.0
    index: int = 0

    def has(self, address: str) -> bool:
        """Return True if an address is on the same network, so that no router lies between."""
        network = ipaddress.ip_network((self.address.partition("%")[0], self.prefix), strict=False)
        return ipaddress.ip_address(address.partition("%")[0]) in network


@dataclass(frozen=True, slots=True)
class HostFact:
    """A host that was queried directly, by unicast to its port 5353.

    Attributes:
        address: the address or name, as given or as found among the neighbours.
        answered: True if a program there answered for colugo's service type.
        given: True if the user named the host.
        error: why it could not be queried; empty if it was.
    """

    address: str
    answered: bool
    given: bool = False
    error: str = ""


@dataclass(frozen=True, slots=True)
class PeerFact:
    """A static peer of this environment (`COLUGO_PEERS`).

    Attributes:
        reach: the outcome of a connection attempt; None if its name does not resolve.
        error: why it does not answer; empty if it does.
        node: the name of the node that answered.
    """

    address: str
    reach: Reach | None
    error: str = ""
    node: str = ""
    realm: str = ""


@dataclass(slots=True)
class Facts:
    """All collected facts.

    Attributes:
        realm: the realm in force.
        scope: the scope in force, as given.
        scope_note: a remark on the scope for the user; empty if there is none.
        interfaces: the addresses in scope.
        port_error: why UDP port 5353 cannot be shared; empty if it can.
        port_holders: programs that use the port; empty if there are none, or permissions hide them.
        sockets: all sockets that are advertised, or known to a node that answers, by id.
        discovered: ids of the sockets that were discovered over mDNS.
        answered_from: addresses that sent mDNS answers.
        nodes: the descriptions of the nodes that answer, by uuid.
        answered_at: the endpoint at which a node answered, by uuid.
        silent: why a node does not answer, by uuid.
        skew_ms: how far a node's clock is ahead of this machine's, by uuid.
        reach: the outcomes of connection attempts, by address and port.
        ignored: malformed records and those of another version: name and reason.
    """

    realm: str = "default"
    scope: str = "lan"
    scope_note: str = ""
    host_id: str = ""
    version: str = ""
    interfaces: list[InterfaceFact] = field(default_factory=list)
    port_error: str = ""
    port_holders: list[str] = field(default_factory=list)
    sockets: dict[str, KnownSocket] = field(default_factory=dict)
    discovered: set[str] = field(default_factory=set)
    answered_from: set[str] = field(default_factory=set)
    nodes: dict[str, NodeDescription] = field(default_factory=dict)
    answered_at: dict[str, str] = field(default_factory=dict)
    silent: dict[str, str] = field(default_factory=dict)
    skew_ms: dict[str, float] = field(default_factory=dict)
    reach: dict[tuple[str, int], Reach] = field(default_factory=dict)
    hosts: list[HostFact] = field(default_factory=list)
    peers: list[PeerFact] = field(default_factory=list)
    ignored: dict[str, str] = field(default_factory=dict)

    @property
    def node_ids(self) -> dict[str, str]:
        """The name of every known node, by uuid."""
        names = {one.node_id: one.node for one in self.sockets.values()}
        return names | {uuid: node.name for uuid, node in self.nodes.items()}

    def covers(self, realm: str) -> bool:
        """Return True if problems in a realm are reported: in the realm in force; in all if it is empty."""
        return realm == self.realm or all(one.realm != self.realm for one in self.sockets.values())

    @property
    def own_realm(self) -> "Facts":
        """The facts without the sockets and nodes of realms that are not reported."""
        if all(one.realm != self.realm for one in self.sockets.values()):
            return self
        nodes = {uuid: node for uuid, node in self.nodes.items() if node.realm == self.realm}
        sockets = {key: one for key, one in self.sockets.items() if one.realm == self.realm}
        ids = nodes.keys() | {one.node_id for one in sockets.values()}
        return dataclasses.replace(
            self,
            nodes=nodes,
            sockets=sockets,
            silent={uuid: why for uuid, why in self.silent.items() if uuid in ids},
            skew_ms={uuid: skew for uuid, skew in self.skew_ms.items() if uuid in ids},
        )

    def sockets_of(self, node_id: str) -> list[KnownSocket]:
        """List the sockets of a node."""
        return [one for one in self.sockets.values() if one.node_id == node_id]

    def addresses_of(self, node_id: str) -> list[str]:
        """List the addresses of a node."""
        node = self.nodes.get(node_id)
        described = node.addresses if node is not None else ()
        advertised = (a for one in self.sockets_of(node_id) for a in one.addresses)
        return list(dict.fromkeys(address.partition("%")[0] for address in (*described, *advertised)))

    def host_of(self, node_id: str) -> str:
        """Return the id of a node's host; empty if unknown."""
        node = self.nodes.get(node_id)
        if node is not None:
            return node.host_id
        return next((one.host_id for one in self.sockets_of(node_id)), "")

    def label(self, node_id: str) -> str:
        """Return a node's name, with its address if another node has the same name."""
        names = self.node_ids
        name = names.get(node_id, node_id[:8])
        if Counter(names.values())[name] < 2:  # noqa: PLR2004 - only this one
            return name
        node = self.nodes.get(node_id)
        address = next(iter(self.addresses_of(node_id)), "?")
        return f"{name} ({address}, pid {node.pid})" if node is not None else f"{name} ({address})"


def is_link_local(address: str) -> bool:
    """Return True if an IPv6 address is valid on its own link only (RFC 4007)."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    return ip.version == 6 and ip.is_link_local  # noqa: PLR2004 - IPv4 ones have no zones


def is_loopback(address: str) -> bool:
    """Return True if only programs on the same machine can reach an address."""
    return ipaddress.ip_address(address.partition("%")[0]).is_loopback

"""What was gathered: who advertises what, who answers, and how this machine's network behaves."""

import dataclasses
import ipaddress
from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum

from colugo.protocol.description.node_description import KnownSocket, NodeDescription


class Reach(StrEnum):
    """What came of an attempt to connect to an address and port.

    OPEN: the connection was made. REFUSED: the machine answers that nothing listens there. SILENT: no
    answer in time. NO_HOST: no machine of the network answers to that address. UNREACHABLE: there is no
    way to it.
    """

    OPEN = "open"
    REFUSED = "refused"
    SILENT = "silent"
    NO_HOST = "no host"
    UNREACHABLE = "unreachable"


class Multicast(StrEnum):
    """What came of a question of our own to the mDNS group on one interface.

    WORKS: it came back, and was answered. NOT_SENT: the system refused to send it. NOT_HEARD: it was
    sent, and did not come back. NOT_ANSWERED: it came back, but the answer to it did not arrive.
    """

    WORKS = "works"
    NOT_SENT = "not sent"
    NOT_HEARD = "not heard"
    NOT_ANSWERED = "not answered"


@dataclass(frozen=True, slots=True)
class InterfaceFact:
    """An address of the scope.

    Attributes:
        name: of its interface.
        address: the address.
        prefix: bits of its network.
        multicast: what came of a question of our own there; None if none was asked.
        error: the system's, if it was not sent.
        round_trip_ms: how long that took.
    """

    name: str
    address: str
    prefix: int
    multicast: Multicast | None = None
    error: str = ""
    round_trip_ms: float = 0.0

    def has(self, address: str) -> bool:
        """Whether the address is one of its network, so that nothing but the network is in between."""
        network = ipaddress.ip_network((self.address.partition("%")[0], self.prefix), strict=False)
        return ipaddress.ip_address(address.partition("%")[0]) in network


@dataclass(frozen=True, slots=True)
class HostFact:
    """A host that was asked directly, by unicast to its port 5353.

    Attributes:
        address: as it was given, or found among the neighbours.
        answered: whether somebody there answered for our service type.
        given: whether the user has named it.
        error: why it could not be asked; empty if it was.
    """

    address: str
    answered: bool
    given: bool = False
    error: str = ""


@dataclass(frozen=True, slots=True)
class PeerFact:
    """A static peer of this environment (`COLUGO_PEERS`).

    Attributes:
        address: as it was given.
        reach: what came of connecting to it; None if its name is not known.
        error: why it does not answer; empty if it does.
        node: the name of the node that has answered.
        realm: that node's.
    """

    address: str
    reach: Reach | None
    error: str = ""
    node: str = ""
    realm: str = ""


@dataclass(slots=True)
class Facts:
    """Everything that was gathered.

    Attributes:
        realm: the one in force here.
        scope: the one in force here, as it was given.
        scope_note: what the library has to say of it; empty if nothing.
        host_id: of this host.
        version: of this colugo.
        interfaces: the addresses of the scope.
        port_error: why UDP port 5353 cannot be shared; empty if it can.
        port_holders: programs that have it; empty if nobody has, or they cannot be known.
        sockets: all that is advertised or known to a node that answers, by id.
        heard: ids of those that were heard over mDNS.
        answered_from: addresses from which mDNS answers have come.
        nodes: what nodes have said of themselves, by their uuid.
        answered_at: the endpoint at which a node has answered, by its uuid.
        silent: why a node does not answer, by its uuid.
        skew_ms: how far a node's clock is ahead of ours, by its uuid.
        reach: what came of connecting, by address and port.
        hosts: hosts that were asked directly.
        peers: static peers.
        ignored: records that are malformed or of another version: name and reason.
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
    heard: set[str] = field(default_factory=set)
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
        """Name by uuid of every node that was heard of."""
        names = {one.node_id: one.node for one in self.sockets.values()}
        return names | {uuid: node.name for uuid, node in self.nodes.items()}

    def speaks_of(self, realm: str) -> bool:
        """Whether faults in a realm are to be told: in the one in force; in all if nobody is in that."""
        return realm == self.realm or all(one.realm != self.realm for one in self.sockets.values())

    @property
    def own_realm(self) -> "Facts":
        """The same without the sockets and nodes of realms that are others' business."""
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
        """The sockets of a node."""
        return [one for one in self.sockets.values() if one.node_id == node_id]

    def addresses_of(self, node_id: str) -> list[str]:
        """Where a node is."""
        node = self.nodes.get(node_id)
        told = node.addresses if node is not None else ()
        heard = (a for one in self.sockets_of(node_id) for a in one.addresses)
        return list(dict.fromkeys(address.partition("%")[0] for address in (*told, *heard)))

    def host_of(self, node_id: str) -> str:
        """The id of a node's host; empty if unknown."""
        node = self.nodes.get(node_id)
        if node is not None:
            return node.host_id
        return next((one.host_id for one in self.sockets_of(node_id)), "")

    def label(self, node_id: str) -> str:
        """A node's name; with its place, if another has the same."""
        names = self.node_ids
        name = names.get(node_id, node_id[:8])
        if Counter(names.values())[name] < 2:  # noqa: PLR2004 - only this one
            return name
        node = self.nodes.get(node_id)
        place = next(iter(self.addresses_of(node_id)), "?")
        return f"{name} ({place}, pid {node.pid})" if node is not None else f"{name} ({place})"


def is_link_local(address: str) -> bool:
    """Whether an address of IPv6 is of use on its own link only (RFC 4007)."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    return ip.version == 6 and ip.is_link_local  # noqa: PLR2004 - those of IPv4 have no zones


def is_loopback(address: str) -> bool:
    """Whether only programs of the same machine can reach it."""
    return ipaddress.ip_address(address.partition("%")[0]).is_loopback

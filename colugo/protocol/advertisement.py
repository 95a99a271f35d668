"""The advertisement of a socket, and its form as a DNS-SD TXT record."""

import base64
import binascii
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeVar

from colugo.errors import AdvertisementError, ConfigurationError, TopicError
from colugo.protocol.frames import ID_BYTES
from colugo.protocol.topics import check_topic

Choice = TypeVar("Choice", bound=StrEnum)

WIRE_VERSION = "2"
MAX_NAME_BYTES = 63
MAX_REALM_BYTES = 24
MAX_LABEL_BYTES = 32
"""The limit of a codec's name and of a host id in the TXT record."""
_CUT = ".."
_UUID_BYTES = 16
_LABEL_TOPIC_CHARS = 50
_MAX_PORT = 65535
UNKNOWN = "unknown"
"""The beginning of the error for a kind or framing that only a newer version may have."""
DISCARD_PORT = 9
"""The port of RFC 863; a record that names it is not a ZeroMQ socket's."""


class SocketKind(StrEnum):
    """The kind of an advertised socket."""

    PUBLISHER = "pub"
    REPLY_SERVER = "rep"
    RESPONDENT = "survey"
    STREAM = "stream"
    NODE = "node"


NODE_TOPIC = "node"
"""The topic of each node's own endpoint, since every TXT record has a topic."""
_NOUNS = {
    SocketKind.PUBLISHER: "publisher",
    SocketKind.REPLY_SERVER: "reply server",
    SocketKind.RESPONDENT: "respondent",
    SocketKind.STREAM: "stream",
}


class Framing(StrEnum):
    """The form of a socket's messages: colugo frames, or plain ZeroMQ messages."""

    COLUGO = "colugo"
    RAW = "raw"


@dataclass(frozen=True, slots=True)
class Advertisement:
    """A bound socket that others may connect to; callbacks get it as their `peer`.

    Attributes:
        socket_id: 8 random bytes, new for each socket: after a restart it is another socket.
        kind: publisher, reply server, respondent, stream, or the node's own endpoint.
        topic: the topic; empty for a plain ZeroMQ endpoint given by `connect=`.
        node: the name of its node.
        node_id: the UUID of its node, 16 bytes.
        realm: the realm; sockets connect only within one.
        codec: the name of its codec and type; cut to 32 bytes if the socket was discovered.
        framing: colugo or raw.
        host_id: the same for all sockets of one host; empty if unknown.
        addresses: the IP addresses that it is bound to.
        port: the TCP port.
        linked: for a node's endpoint, whether the node is linked to nodes that mDNS does not reach.
    """

    socket_id: bytes
    kind: SocketKind
    topic: str
    node: str
    node_id: bytes
    realm: str = "default"
    codec: str = "plain"
    framing: Framing = Framing.COLUGO
    host_id: str = ""
    addresses: tuple[str, ...] = field(default=())
    port: int = 0
    linked: bool = False

    @property
    def endpoints(self) -> list[str]:
        """The ZeroMQ endpoints, one for each address."""
        return [endpoint(address, self.port) for address in self.addresses]

    def __str__(self) -> str:
        where = f" at {self.endpoints[0]}" if self.addresses else ""
        if self.kind is SocketKind.NODE:
            return f"node {self.node}{where}"
        return (
            f"{_NOUNS[self.kind]} {self.topic or '(plain ZeroMQ)'} of {self.node or 'an unnamed peer'}{where}"
        )


def endpoint(address: str, port: int) -> str:
    """Return the tcp endpoint of an address, with the brackets that IPv6 needs."""
    return f"tcp://[{address}]:{port}" if ":" in address else f"tcp://{address}:{port}"


def check_name(name: object) -> str:
    """Return the node name if it has 1 to 63 bytes of printable UTF-8, else raise ConfigurationError."""
    if not isinstance(name, str) or not name or not name.isprintable() or len(name.encode()) > MAX_NAME_BYTES:
        raise ConfigurationError(f"a node name has 1 to {MAX_NAME_BYTES} bytes, all printable; not {name!r}")
    return name


def check_realm(realm: object) -> str:
    """Return the realm if it is a topic of at most 24 bytes, else raise ConfigurationError."""
    try:
        if len(check_topic(realm)) <= MAX_REALM_BYTES:
            return str(realm)
    except TopicError:
        pass
    raise ConfigurationError(f"a realm has 1 to {MAX_REALM_BYTES} letters, digits or ./-_ ; not {realm!r}")


def instance_label(advertisement: Advertisement) -> str:
    """Return the DNS-SD instance label: topic and socket id, at most 63 bytes.

    Dots become dashes: RFC 6763 §4.3 allows them, but some resolvers split such names wrongly.
    """
    topic = advertisement.topic.replace(".", "-").replace("/", "-")
    return f"{topic[:_LABEL_TOPIC_CHARS]}-{advertisement.socket_id[:6].hex()}"


def to_txt(advertisement: Advertisement) -> dict[str, str]:
    """Return the TXT record's keys and values, together under 400 bytes (RFC 6763 §6)."""
    fields = {
        "v": WIRE_VERSION,
        "t": advertisement.topic,
        "k": str(advertisement.kind),
        "n": advertisement.node,
        "u": _encode_id(advertisement.node_id),
        "i": _encode_id(advertisement.socket_id),
        "r": advertisement.realm,
        "c": cut_codec(advertisement.codec),
        "h": advertisement.host_id,
    }
    if advertisement.framing is not Framing.COLUGO:
        fields["f"] = str(advertisement.framing)
    if advertisement.linked:
        fields["x"] = "1"
    return fields


def from_txt(txt: Mapping[str, str | None], addresses: tuple[str, ...], port: int | None) -> Advertisement:
    """Decode and validate the advertisement of another host from its TXT, A or AAAA, and SRV records.

    Raises:
        AdvertisementError: if a required value is missing, malformed or of another version.
    """
    values = {key: value or "" for key, value in txt.items()}
    if values.get("v") != WIRE_VERSION:
        raise AdvertisementError(f"version {values.get('v')!r}, this is {WIRE_VERSION!r}")
    if not port or not 0 < port <= _MAX_PORT or port == DISCARD_PORT:
        raise AdvertisementError(f"port {port}")
    try:
        return Advertisement(
            socket_id=_decode_id(values["i"], ID_BYTES),
            kind=_known(SocketKind, "kind", values["k"]),
            topic=check_topic(values["t"]),
            node=check_name(values["n"]),
            node_id=_decode_id(values["u"], _UUID_BYTES),
            realm=check_realm(values["r"]),
            codec=_check_label(values.get("c", "plain")),
            framing=_known(Framing, "framing", values.get("f", Framing.COLUGO)),
            host_id=_check_label(values.get("h", "")),
            addresses=tuple(str(ipaddress.ip_address(address)) for address in addresses),
            port=port,
            linked=values.get("x") == "1",
        )
    except KeyError as error:
        raise AdvertisementError(f"no key {error} in the TXT record") from error
    except ValueError as error:
        raise AdvertisementError(str(error)) from error


def cut_codec(name: str) -> str:
    """Shorten a codec's name to the 32 bytes that an advertisement has for it.

    A type keeps its end, which says more than its package: `protobuf ..room.v1.Temperature`.
    """
    printable = "".join(sign for sign in name if sign.isprintable())
    encoded = printable.encode()
    if len(encoded) <= MAX_LABEL_BYTES:
        return printable
    serialization, space, _ = printable.partition(" ")
    head = f"{serialization}{space}{_CUT}".encode()
    if not space or len(head) > MAX_LABEL_BYTES // 2:
        return encoded[:MAX_LABEL_BYTES].decode(errors="ignore")
    return head.decode() + encoded[len(head) - MAX_LABEL_BYTES :].decode(errors="ignore")


def _known(choices: type[Choice], what: str, text: str) -> Choice:
    try:
        return choices(text)
    except ValueError:
        raise AdvertisementError(f"{UNKNOWN} {what} {text[:40]!r}") from None


def _check_label(text: str) -> str:
    if not text.isprintable() or len(text.encode()) > MAX_LABEL_BYTES:
        raise AdvertisementError(f"not a codec's name or host id: {text[:40]!r}")
    return text


def _encode_id(identity: bytes) -> str:
    return base64.urlsafe_b64encode(identity).rstrip(b"=").decode()


def _decode_id(text: str, size: int) -> bytes:
    try:
        identity = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise AdvertisementError(f"id {text[:40]!r}: {error}") from error
    if len(identity) != size:
        raise AdvertisementError(f"id {text[:40]!r} has {len(identity)} bytes, not {size}")
    return identity

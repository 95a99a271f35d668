"""What nodes tell each other of nodes, as it travels; `docs/wire.md` gives it."""

from collections.abc import Iterable
from typing import Annotated, Self

import msgspec

from colugo.errors import AdvertisementError
from colugo.protocol.advertisement import Advertisement, from_txt, to_txt

MAX_BEAT = 2**53 - 1
MAX_ENTRIES = 1000
"""Entries in one message."""
MAX_SOCKETS = 4000
"""Sockets of one node."""
MAX_SOCKET_BYTES = 800_000
"""Sockets of one node, and of one message, in JSON: so that it is shorter than an endpoint takes."""
_MAX_ADDRESSES = 32
MAX_AGE_MS = 3_600_000
_MAX_CHARS = 256
_Text = Annotated[str, msgspec.Meta(max_length=_MAX_CHARS)]
_NodeId = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{32}\Z")]
_Count = Annotated[int, msgspec.Meta(ge=0, le=MAX_BEAT)]


class Greeting(msgspec.Struct, frozen=True):
    """The first message on a link, in both directions.

    Attributes:
        node: id of the node, 32 hexadecimal digits.
        name: its name.
        realm: its realm.
    """

    node: _NodeId
    name: _Text
    realm: _Text


class Refusal(msgspec.Struct, frozen=True, omit_defaults=True):
    """The answer to a greeting, or to anything else, of one who is not linked; or to a consumer.

    Attributes:
        reason: for people.
        again: whether to greet, or to join, once more.
    """

    reason: _Text
    again: bool = False

    @classmethod
    def of(cls, reason: str) -> Self:
        """A refusal for a reason that may be too long for one, such as the text of an error."""
        return cls(reason if len(reason) <= _MAX_CHARS else reason[: _MAX_CHARS - 1] + "…")


class SocketRecord(msgspec.Struct, frozen=True):
    """A socket.

    Attributes:
        txt: what its TXT record has over mDNS.
        addresses: IP addresses.
        port: TCP port.
    """

    txt: Annotated[dict[Annotated[str, msgspec.Meta(max_length=9)], _Text], msgspec.Meta(max_length=20)]
    addresses: Annotated[
        list[Annotated[str, msgspec.Meta(max_length=45)]], msgspec.Meta(max_length=_MAX_ADDRESSES)
    ]
    port: Annotated[int, msgspec.Meta(ge=1, le=65535)]

    @classmethod
    def of(cls, advertisement: Advertisement) -> Self:
        """The record of a socket."""
        return cls(to_txt(advertisement), list(advertisement.addresses[:_MAX_ADDRESSES]), advertisement.port)


class NodeEntry(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is known of a node.

    Attributes:
        node: its id.
        beat: its count.
        revision: the beat at which its sockets last changed.
        age_ms: milliseconds since it counted that beat, or since it was marked gone.
        gone: whether it has left or is dead.
        sockets: its sockets; left out if the other side has them.
    """

    node: _NodeId
    beat: _Count
    revision: _Count
    age_ms: Annotated[int, msgspec.Meta(ge=0, le=MAX_AGE_MS)] = 0
    gone: bool = False
    sockets: Annotated[list[SocketRecord], msgspec.Meta(max_length=MAX_SOCKETS)] | None = None


class NodeEntries(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a link carries, and that it is still there.

    Attributes:
        entries: what is new.
        wanted: ids of nodes whose sockets the sender does not have.
    """

    entries: Annotated[list[NodeEntry], msgspec.Meta(max_length=MAX_ENTRIES)] = []
    wanted: Annotated[list[_NodeId], msgspec.Meta(max_length=MAX_ENTRIES)] = []


def size_of(records: list[SocketRecord]) -> int:
    """How many bytes they take in a message."""
    return len(msgspec.json.encode(records))


def as_many_as_fit(advertisements: Iterable[Advertisement]) -> list[SocketRecord]:
    """The records of as many sockets, from the first one on, as one node may tell of."""
    records: list[SocketRecord] = []
    room = MAX_SOCKET_BYTES
    for advertisement in advertisements:
        record = SocketRecord.of(advertisement)
        room -= size_of([record])
        if room < 0 or len(records) == MAX_SOCKETS:
            break
        records.append(record)
    return records


def read_sockets(
    node: str, realm: str, records: list[SocketRecord]
) -> tuple[dict[bytes, Advertisement], int]:
    """The sockets of a node, trusting nothing.

    Args:
        node: its id.
        realm: others are malformed.
        records: as they travelled.

    Returns:
        The advertisements by socket id, and how many were malformed.
    """
    found: dict[bytes, Advertisement] = {}
    malformed = 0
    for record in records:
        try:
            one = from_txt(record.txt, tuple(record.addresses), record.port)
        except AdvertisementError:
            malformed += 1
            continue
        if one.node_id.hex() != node or one.realm != realm:
            malformed += 1
            continue
        found[one.socket_id] = one
    return found, malformed

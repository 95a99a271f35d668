"""The messages of the membership protocol; `docs/wire.md` describes them."""

from collections.abc import Iterable
from typing import Annotated, Self

import msgspec

from colugo.errors import AdvertisementError
from colugo.protocol.advertisement import Advertisement, from_txt, to_txt

MAX_BEAT = 2**53 - 1
MAX_ENTRIES = 1000
"""The most entries in one message."""
MAX_SOCKETS = 4000
"""The most sockets of one node."""
MAX_SOCKET_BYTES = 800_000
"""The JSON bytes of sockets in one message, and of one node; keeps frames below an endpoint's limit."""
_MAX_ADDRESSES = 32
MAX_AGE_MS = 3_600_000
_MAX_CHARS = 256
_Text = Annotated[str, msgspec.Meta(max_length=_MAX_CHARS)]
_NodeId = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{32}\Z")]
_Count = Annotated[int, msgspec.Meta(ge=0, le=MAX_BEAT)]


class Greeting(msgspec.Struct, frozen=True):
    """The first message on a link, in both directions; it introduces the sender."""

    node: _NodeId
    name: _Text
    realm: _Text


class Refusal(msgspec.Struct, frozen=True, omit_defaults=True):
    """The rejection of a greeting, of a message on no link, or of a consumer.

    Attributes:
        reason: the reason, for people.
        again: whether to greet, or to join, once more.
    """

    reason: _Text
    again: bool = False

    @classmethod
    def of(cls, reason: str) -> Self:
        """Return a refusal with a reason of any length, such as the text of an error."""
        return cls(reason if len(reason) <= _MAX_CHARS else reason[: _MAX_CHARS - 1] + "…")


class SocketRecord(msgspec.Struct, frozen=True):
    """An advertised socket, with the contents of its TXT record."""

    txt: Annotated[dict[Annotated[str, msgspec.Meta(max_length=9)], _Text], msgspec.Meta(max_length=20)]
    addresses: Annotated[
        list[Annotated[str, msgspec.Meta(max_length=45)]], msgspec.Meta(max_length=_MAX_ADDRESSES)
    ]
    port: Annotated[int, msgspec.Meta(ge=1, le=65535)]

    @classmethod
    def of(cls, advertisement: Advertisement) -> Self:
        """Return the record of an advertisement."""
        return cls(to_txt(advertisement), list(advertisement.addresses[:_MAX_ADDRESSES]), advertisement.port)


class NodeEntry(msgspec.Struct, frozen=True, omit_defaults=True):
    """The state of a node.

    Attributes:
        beat: its heartbeat count.
        revision: the beat at which its sockets last changed.
        age_ms: milliseconds since that beat, or since the node was marked as gone.
        gone: whether it has left or is dead.
        sockets: its sockets; omitted if the other side has them.
    """

    node: _NodeId
    beat: _Count
    revision: _Count
    age_ms: Annotated[int, msgspec.Meta(ge=0, le=MAX_AGE_MS)] = 0
    gone: bool = False
    sockets: Annotated[list[SocketRecord], msgspec.Meta(max_length=MAX_SOCKETS)] | None = None


class NodeEntries(msgspec.Struct, frozen=True, omit_defaults=True):
    """A message on a link: new states of nodes, and the ids of nodes whose sockets the sender wants.

    An empty one keeps the link alive.
    """

    entries: Annotated[list[NodeEntry], msgspec.Meta(max_length=MAX_ENTRIES)] = []
    wanted: Annotated[list[_NodeId], msgspec.Meta(max_length=MAX_ENTRIES)] = []


def size_of(records: list[SocketRecord]) -> int:
    """Return the bytes that records take in a message."""
    return len(msgspec.json.encode(records))


def fitting_records(advertisements: Iterable[Advertisement]) -> list[SocketRecord]:
    """Return the records of the first sockets, as many as one node may have in a message."""
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
    """Return the advertisements of a node by socket id, and the number of malformed records.

    A socket of another node or realm is malformed, too.
    """
    found: dict[bytes, Advertisement] = {}
    malformed = 0
    for record in records:
        try:
            one = from_txt(record.txt, tuple(record.addresses), record.port)
        except AdvertisementError:
            malformed += 1
            continue
        if one.node_id.hex() == node and one.realm == realm:
            found[one.socket_id] = one
        else:
            malformed += 1
    return found, malformed

"""A message of a messenger: as callbacks get it, as it travels, and the topics and ports it travels by."""

import hashlib
import os
import time
from typing import Any

import msgspec

from colugo.errors import ConfigurationError, DecodeError
from colugo.protocol.codecs import Codec
from colugo.protocol.streams.message_parts import check_size

TOPIC = "messenger"
"""The topic of the streams, and of the publishers of messages with `ack=0`."""
RELAY_TOPIC = "messenger.relay"
"""The topic of the requests by which relays take messages over."""
GIVEN_TOPIC = "messenger.given"
"""A topic that no node advertises: its sockets connect to given endpoints only."""
SEND_PORT = 7202
SUB_PORT = 7201
"""The ports of Mezzenger's server."""
PING = b"ping"
ANSWER = b"OK"
DISCOVERY_S = 0.3
"""The time that discovery may take; the first messages wait for it."""
MAX_DELIVER = 10
"""The tries of a message in one process before it becomes a dead letter, over at least four minutes."""
MOST_WAITING = 100_000
"""The limit of messages with `ack=0` that wait for one subscriber, at either side."""

MAX_NAME_BYTES = 250
"""A name travels as a key, which has at most 255 bytes; `passing_key` puts a sign before it."""
ID_BYTES = 16

_VERSION = 1
_NS = 1_000_000_000


def passing_key(name: str) -> str:
    """Return the key by which a relay's stream passes a message on without keeping it; no name has a `|`."""
    return f"|{name}"


def check_name(name: object) -> str:
    """Return a message's name; raise ConfigurationError, with the reason, if it breaks the rules."""
    text = check_size(name, "message's name", MAX_NAME_BYTES)
    if not text:
        raise ConfigurationError("a message's name must not be empty")
    if "|" in text:
        raise ConfigurationError(f"a message's name must not contain '|': {text!r}")
    return text


class Envelope(msgspec.Struct, array_like=True, frozen=True):
    """A message as it travels: a msgpack array.

    Attributes:
        id: 16 bytes that are unique to it.
        ack: 1 if it is kept until a callback has returned from it, else 0.
        sent_ns: the time of its making, in nanoseconds since 1970.
        codec: the name of the payload's codec.
        text: True if the payload was a str without a codec.
        checksum: the MD5 of all of these, 32 hexadecimal digits.
    """

    version: int
    id: bytes
    name: str
    ack: int
    sent_ns: int
    codec: str
    text: bool
    payload: bytes
    checksum: str


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Envelope)


def seal(name: str, payload: Any, ack: int, codec: Codec) -> Envelope:
    """Make a message; raise EncodeError if the codec cannot take the payload."""
    data, text = codec.pack(payload)
    parts = (_VERSION, os.urandom(ID_BYTES), name, ack, time.time_ns(), codec.name, text, bytes(data))
    return Envelope(*parts, _checksum(parts))


def to_bytes(envelope: Envelope) -> bytes:
    """Return the bytes that are sent."""
    return _encoder.encode(envelope)


def from_bytes(data: object) -> Envelope:
    """Read the bytes of a stranger.

    Raises:
        DecodeError: if they are no message, or the checksum does not match.
    """
    if not isinstance(data, bytes):
        raise DecodeError(f"a message must be bytes, not {type(data).__name__}")
    try:
        envelope = _decoder.decode(data)
        check_name(envelope.name)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise DecodeError(f"{len(data)} bytes that are no message of a messenger: {error}") from error
    if envelope.version != _VERSION or len(envelope.id) != ID_BYTES or envelope.ack not in (0, 1):
        raise DecodeError(
            f"a message of version {envelope.version} with ack={envelope.ack} and an id of "
            f"{len(envelope.id)} bytes; this is version {_VERSION}"
        )
    if envelope.checksum != _checksum(msgspec.structs.astuple(envelope)[:-1]):
        raise DecodeError(f"the checksum of the message {envelope.name!r} does not match")
    return envelope


def _checksum(parts: tuple[Any, ...]) -> str:
    return hashlib.md5(_encoder.encode(parts), usedforsecurity=False).hexdigest()


class Message:
    """A message as callbacks get it; `message["name"]` is the same as `message.name`.

    Attributes:
        name: its name.
        payload: the payload that was sent.
        ack: 1 if it is kept until a callback has returned from it, else 0.
        timestamp: the time of its making, in seconds since 1970 by the sender's clock.
        checksum: an MD5, 32 hexadecimal digits.
        id: 32 hexadecimal digits that are unique to it.
        redelivered: True if a callback of this process has been called with it before, or may have been.
            It does not cover other processes; use the id to recognize what they have handled.
    """

    __slots__ = ("ack", "checksum", "id", "name", "payload", "redelivered", "timestamp")

    def __init__(self, envelope: Envelope, payload: Any, *, redelivered: bool) -> None:
        self.name = envelope.name
        self.payload = payload
        self.ack = envelope.ack
        self.timestamp = envelope.sent_ns / _NS
        self.checksum = envelope.checksum
        self.id = envelope.id.hex()
        self.redelivered = redelivered

    def __getitem__(self, key: str) -> Any:
        if key not in self.__slots__:
            raise KeyError(key)
        return getattr(self, key)

    def __repr__(self) -> str:
        return f"<Message {self.name!r} {self.id}, ack={self.ack}: {self.payload!r}>"


class RecentIds:
    """The ids of the last messages, by which duplicates are recognized."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._ids: dict[bytes, None] = {}

    def __contains__(self, one: bytes) -> bool:
        return one in self._ids

    def __len__(self) -> int:
        return len(self._ids)

    def add(self, one: bytes) -> None:
        """Remember an id, and forget the oldest beyond the limit."""
        self._ids[one] = None
        if len(self._ids) > self._most:
            del self._ids[next(iter(self._ids))]

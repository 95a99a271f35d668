"""A message of a messenger: what callbacks get, and how it travels."""

import hashlib
import os
import time
from typing import Any

import msgspec

from colugo.errors import ConfigurationError, DecodeError
from colugo.protocol.codecs import Codec
from colugo.protocol.streams.message_parts import check_size

MAX_NAME_BYTES = 250
"""A name travels as a key, which has at most 255 bytes, with a sign before it on some ways."""
ID_BYTES = 16

_VERSION = 1
_NS = 1_000_000_000


def check_name(name: object) -> str:
    """Return the name of a message if it is one.

    Args:
        name: any text without `|`, 1 to 250 bytes of UTF-8.

    Raises:
        ConfigurationError: with the reason.
    """
    text = check_size(name, "message's name", MAX_NAME_BYTES)
    if not text:
        raise ConfigurationError("a message's name must not be empty")
    if "|" in text:
        raise ConfigurationError(f"a message's name has no '|' in it: {text!r}")
    return text


class Envelope(msgspec.Struct, array_like=True, frozen=True):
    """A message as it travels: a msgpack array.

    Attributes:
        version: 1.
        id: 16 bytes that no other message has.
        name: its name.
        ack: 1 if it is kept until somebody has it, else 0.
        sent_ns: when it was made, nanoseconds since 1970.
        codec: the name of the payload's codec.
        text: whether the payload was a str without a codec.
        payload: encoded.
        checksum: MD5 of all of these, 32 hexadecimal digits.
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
    """Make a message.

    Args:
        name: checked.
        payload: what the codec takes.
        ack: 0 or 1.
        codec: of the payload.

    Raises:
        EncodeError: if the codec cannot take the payload.
    """
    data, text = codec.pack(payload)
    parts = (_VERSION, os.urandom(ID_BYTES), name, ack, time.time_ns(), codec.name, text, bytes(data))
    return Envelope(*parts, _checksum(parts))


def to_bytes(envelope: Envelope) -> bytes:
    """What is sent."""
    return _encoder.encode(envelope)


def from_bytes(data: object) -> Envelope:
    """Read what was sent.

    Args:
        data: a stranger's bytes.

    Raises:
        DecodeError: if that is no message, or its checksum does not fit.
    """
    if not isinstance(data, bytes):
        raise DecodeError(f"a message is bytes, not {type(data).__name__}")
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
        raise DecodeError(f"the checksum of the message {envelope.name!r} does not fit: it has been changed")
    return envelope


def _checksum(parts: tuple[Any, ...]) -> str:
    return hashlib.md5(_encoder.encode(parts), usedforsecurity=False).hexdigest()


class Message:
    """A message as callbacks get it; `message["name"]` is the same as `message.name`.

    Attributes:
        name: its name.
        payload: what was sent.
        ack: 1 if it is kept until somebody has it, else 0.
        timestamp: when it was made, seconds since 1970 by the sender's clock.
        checksum: MD5, 32 hexadecimal digits.
        id: 32 hexadecimal digits that no other message has.
        redelivered: whether a callback of this process has been called with it before, or may have been. Of
            other processes it says nothing: they can be told by the id only.
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

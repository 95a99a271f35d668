"""Codecs: how messages become bytes and bytes become messages."""

import dataclasses
import pickle
from collections.abc import Callable
from typing import Any

import msgspec
from google.protobuf.message import Message

from colugo.errors import ConfigurationError, DecodeError, EncodeError
from colugo.protocol.frames import LARGE_BYTES

try:
    import cbor2
except ImportError:  # the extra `colugo[cbor]`
    cbor2 = None  # type: ignore[assignment]

CODEC_NAMES = '"json", "msgpack", "cbor", a protobuf message class, a msgspec.Struct or a dataclass'


Buffer = bytes | bytearray | memoryview


def as_payload(buffer: bytearray | memoryview) -> bytes | memoryview:
    """Return a copy of a mutable buffer to send, of any items and dimensions; a view if it is large."""
    view = memoryview(buffer)
    return view.cast("B") if view.nbytes > LARGE_BYTES and view.c_contiguous else bytes(view)


class Codec:
    """The base of codecs; subclass it for a serialization of your own.

    A subclass sets `name` (shown in advertisements, so that `colugo why` can name a mismatch)
    and implements `encode` and `decode`, which may raise any exception.
    """

    name = ""

    def encode(self, message: Any) -> Buffer:
        """Turn a message into bytes.

        Args:
            message: the argument of `send`.

        Returns:
            bytes, or a bytearray or contiguous memoryview. Above 32 KiB it is sent without a copy, so you
            must not change it afterwards.
        """
        raise NotImplementedError

    def decode(self, data: Any) -> Any:
        """Turn bytes into a message.

        Args:
            data: the result of the sender's `encode`, or arbitrary bytes of an untrusted peer; a memoryview
                if the subscriber was made with `copy=False`.
        """
        raise NotImplementedError

    def pack(self, message: Any) -> tuple[Any, bool]:
        """Return the payload, and true if it is text.

        Args:
            message: the argument of `send`.

        Raises:
            EncodeError: a `TypeError` that names the message's type and the codec.
        """
        try:
            payload: object = self.encode(message)
        except EncodeError:
            raise
        except Exception as error:
            raise EncodeError(
                f"a {type(message).__name__} cannot be sent with the codec {self.name}: {error}"
            ) from error
        if isinstance(payload, bytes):
            return payload, False
        if isinstance(payload, bytearray | memoryview):
            return as_payload(payload), False
        raise EncodeError(f"the codec {self.name} must encode to bytes, not to a {type(payload).__name__}")

    def unpack(self, data: bytes, *, text: bool) -> Any:
        """Return the decoded message.

        Args:
            data: the payload.
            text: whether it was sent as a `str` without a codec.

        Raises:
            DecodeError: a `ValueError`, for any exception of the codec.
        """
        del text
        try:
            return self.decode(data)
        except Exception as error:  # on arbitrary bytes, a codec may raise anything, even MemoryError
            raise DecodeError(f"{len(data)} bytes are not {self.name}: {error}") from error


class PlainCodec(Codec):
    """The default: `str` arrives as `str`, `bytes` as `bytes`; anything else needs a codec."""

    name = "plain"

    def pack(self, message: Any) -> tuple[Any, bool]:
        """Return the payload, and true if it is text."""
        if type(message) is bytes:
            return message, False
        if isinstance(message, str):
            try:
                return message.encode(), True
            except UnicodeEncodeError as error:
                raise EncodeError(f"the str cannot be sent as UTF-8: {error}") from error
        if isinstance(message, bytes):
            return message, False
        if isinstance(message, (bytearray, memoryview)):
            return as_payload(message), False
        raise EncodeError(
            f"a {type(message).__name__} cannot be sent as it is: send str or bytes, or give codec= "
            f"({CODEC_NAMES})"
        )

    def unpack(self, data: bytes, *, text: bool) -> Any:
        """Return str for text, else bytes."""
        if not text:
            return data
        try:
            return str(data, "utf-8")
        except UnicodeDecodeError as error:
            raise DecodeError(f"a text message is not UTF-8: {error}") from error


class _FunctionCodec(Codec):
    """A codec made of two functions."""

    def __init__(self, name: str, encode: Callable[[Any], bytes], decode: Callable[[bytes], Any]) -> None:
        self.name = name
        self._encode = encode
        self._decode = decode

    def encode(self, message: Any) -> bytes:
        """Call the encoding function."""
        return self._encode(message)

    def decode(self, data: bytes) -> Any:
        """Call the decoding function."""
        return self._decode(data)


class ProtobufCodec(Codec):
    """The codec of one generated protobuf class."""

    def __init__(self, message_class: type[Message]) -> None:
        self.name = f"protobuf {message_class.DESCRIPTOR.full_name}"
        self._class = message_class

    def encode(self, message: Any) -> bytes:
        """Serialize the message."""
        if not isinstance(message, self._class):
            raise EncodeError(f"a {type(message).__name__} is not the codec's {self._class.__name__}")
        return message.SerializeToString()

    def decode(self, data: bytes) -> Any:
        """Parse a message."""
        return self._class.FromString(data)


class TypedCodec(Codec):
    """The codec of one `msgspec.Struct` or dataclass: msgpack, checked against the type on arrival.

    It ignores unknown fields of the other side, and fills missing ones with their defaults.
    """

    def __init__(self, message_class: type) -> None:
        self.name = f"msgpack {message_class.__name__}"
        self._class = message_class
        self._encoder = msgspec.msgpack.Encoder()
        self._decoder: msgspec.msgpack.Decoder[Any] = msgspec.msgpack.Decoder(message_class)

    def encode(self, message: Any) -> bytes:
        """Serialize the message."""
        if not isinstance(message, self._class):
            raise EncodeError(f"a {type(message).__name__} is not the codec's {self._class.__name__}")
        return self._encoder.encode(message)

    def decode(self, data: bytes) -> Any:
        """Parse and check a message."""
        return self._decoder.decode(data)


PLAIN = PlainCodec()


_FUNCTIONS: dict[str, tuple[Callable[[Any], bytes], Callable[[bytes], Any]]] = {
    "json": (msgspec.json.encode, msgspec.json.decode),
    "msgpack": (msgspec.msgpack.encode, msgspec.msgpack.decode),
    "pickle": (pickle.dumps, pickle.loads),
}


def resolve_codec(spec: Any) -> Codec:
    """Return the codec for a `codec=` argument.

    Args:
        spec: None (str and bytes as they are), `"json"`, `"msgpack"`, `"cbor"`, `"pickle"` (lets every
            sender run code in the receiver: only among programs that trust each other), a protobuf
            message class, a `msgspec.Struct` class, a dataclass, or a `Codec` of your own.

    Raises:
        ConfigurationError: if it is none of these.
    """
    if spec is None:
        return PLAIN
    if isinstance(spec, Codec):
        return spec
    if isinstance(spec, str):
        return _named_codec(spec)
    if isinstance(spec, type):
        if issubclass(spec, Message):
            return ProtobufCodec(spec)
        if issubclass(spec, msgspec.Struct) or dataclasses.is_dataclass(spec):
            return TypedCodec(spec)
    raise ConfigurationError(f"codec={spec!r} is not one of {CODEC_NAMES}")


def _named_codec(name: str) -> Codec:
    if name in _FUNCTIONS:
        return _FunctionCodec(name, *_FUNCTIONS[name])
    if name != "cbor":
        raise ConfigurationError(f"no codec is called {name!r}; use {CODEC_NAMES}")
    if cbor2 is None:
        raise ConfigurationError('codec="cbor" needs the package cbor2: pip install "colugo[cbor]"')
    return _FunctionCodec(name, cbor2.dumps, cbor2.loads)

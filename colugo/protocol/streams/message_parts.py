"""The key and headers of a message, and the name of a group: limits and encodings."""

from typing import Any

import msgspec

from colugo.errors import ConfigurationError, DecodeError, EncodeError

MAX_KEY_BYTES = 255
"""AMQP's limit for a routing key (a short string)."""
MAX_HEADERS_BYTES = 65535
MAX_GROUP_BYTES = 100

_SHOWN = 40
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(dict[str, Any])


def check_key(key: object) -> str:
    """Return the key if it is a text of at most 255 bytes of UTF-8, else raise ConfigurationError."""
    return check_size(key, "key", MAX_KEY_BYTES)


def check_group(name: object) -> str:
    """Return a group's name if it is printable, 1 to 100 bytes of UTF-8, else raise ConfigurationError."""
    text = check_size(name, "group's name", MAX_GROUP_BYTES)
    if not text:
        raise ConfigurationError("a group's name must not be empty")
    if not text.isprintable():
        raise ConfigurationError(f"a group's name must be printable, not {text!r}")
    return text


def check_size(text: object, what: str, most: int) -> str:
    """Return the text if UTF-8 can encode it in `most` bytes, else raise ConfigurationError naming `what`."""
    if not isinstance(text, str):
        raise ConfigurationError(f"a {what} must be a str, not {type(text).__name__}: {text!r}")
    if text.isascii() and len(text) <= most:
        return text
    try:
        size = len(text.encode())
    except UnicodeEncodeError as error:
        raise ConfigurationError(
            f"UTF-8 cannot encode the {what} {text[:_SHOWN]!r}: {error.reason}"
        ) from None
    if size > most:
        raise ConfigurationError(
            f"a {what} must have at most {most} bytes of UTF-8, this has {size}: {text[:_SHOWN]!r}…"
        )
    return text


def pack_headers(headers: dict[str, Any] | None) -> bytes:
    """Encode the headers of a message as a msgpack map; b"" for None or {}.

    Raises:
        EncodeError: if the headers are not a dict with str keys, msgpack cannot encode a value, or they
            take more than 65,535 bytes.
    """
    if not headers and (headers is None or isinstance(headers, dict)):
        return b""
    if not isinstance(headers, dict):
        raise EncodeError(f"headers must be a dict, not {type(headers).__name__}: {repr(headers)[:_SHOWN]}")
    for name in headers:
        if not isinstance(name, str):
            raise EncodeError(f"the name of a header must be a str, not {type(name).__name__}: {name!r}")
    try:
        packed = _encoder.encode(headers)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise EncodeError(f"headers that msgpack cannot encode: {error}") from error
    if len(packed) > MAX_HEADERS_BYTES:
        raise EncodeError(
            f"the headers of a message take at most {MAX_HEADERS_BYTES} bytes, these take {len(packed)}: "
            f"put larger data into the message"
        )
    return packed


def unpack_headers(packed: bytes) -> dict[str, Any]:
    """Decode the headers of a message; raise DecodeError unless they are a msgpack map with str keys."""
    if not packed:
        return {}
    try:
        return _decoder.decode(packed)
    except (msgspec.MsgspecError, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise DecodeError(f"{len(packed)} bytes that are not headers: {error}") from error

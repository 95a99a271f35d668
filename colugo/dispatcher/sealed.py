"""A codec for messages that are encoded by their sender's thread, not on the node's loop."""

from typing import Any

from colugo.errors import ConfigurationError, EncodeError
from colugo.protocol.codecs import Codec, resolve_codec


class SealedCodec(Codec):
    """Sends the bytes that `seal` has made.

    The sender's thread does the work, and gets the error of a message that cannot be encoded. On the wire it
    is the codec that it wraps, by name and by bytes.

    Args:
        spec: a codec as for a publisher, which must take lists and dicts.

    Raises:
        ConfigurationError: if it is no codec, or takes messages of one class only.
    """

    def __init__(self, spec: Any) -> None:
        self._codec = resolve_codec(spec)
        self.name = self._codec.name
        try:
            self.seal([1, [], {}])
        except EncodeError as error:
            raise ConfigurationError(
                f'arguments and results need "msgpack", "json", "cbor", "pickle" or a Codec of your own that '
                f"takes lists and dicts, not {spec!r}: {error}"
            ) from error

    def seal(self, message: Any) -> bytes:
        """Encode a message.

        Raises:
            EncodeError: if the codec cannot take the message.
        """
        payload, _ = self._codec.pack(message)
        return bytes(payload)

    def encode(self, message: Any) -> bytes:
        """Return the bytes that `seal` has made."""
        sealed: bytes = message
        return sealed

    def decode(self, data: Any) -> Any:
        """Decode a received message."""
        return self._codec.unpack(data, text=False)

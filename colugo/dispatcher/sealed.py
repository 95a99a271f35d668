"""Messages that are encoded where they are made, not on the node's loop."""

from typing import Any

from colugo.errors import ConfigurationError, EncodeError
from colugo.protocol.codecs import Codec, resolve_codec


class SealedCodec(Codec):
    """Sends what `seal` has made, and reads it.

    Whoever makes a message gets the error if it cannot be sent, and its thread does the work. For others
    it is the codec that it is made of, by name and by bytes.

    Args:
        spec: as for a publisher; it must take lists and dicts.

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
            EncodeError: if the codec cannot take it.
        """
        payload, _ = self._codec.pack(message)
        return bytes(payload)

    def encode(self, message: Any) -> bytes:
        """Return what has been sealed."""
        sealed: bytes = message
        return sealed

    def decode(self, data: Any) -> Any:
        """Read what the other side has sealed."""
        return self._codec.unpack(data, text=False)

"""The formatter of JSON lines."""

from typing import Any

import msgspec

from colugo.distributor.formatters.formatter import IFormatter


class JsonLinesFormatter(IFormatter):
    """Sends each message as JSON on one line (https://jsonlines.org)."""

    def format(self, message: Any) -> str:
        """Return the message as JSON, without line breaks.

        Args:
            message: text that is JSON already, or an object that msgspec can encode; other text becomes a
                JSON string.

        Raises:
            TypeError: if the object cannot be encoded.
        """
        if isinstance(message, str | bytes):
            try:
                message = msgspec.json.decode(message)
            except (msgspec.DecodeError, RecursionError):
                message = message if isinstance(message, str) else message.decode(errors="replace")
        return msgspec.json.encode(message).decode()

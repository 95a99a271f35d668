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
            UnicodeEncodeError: for text that UTF-8 cannot express, such as half of a surrogate pair.
        """
        if isinstance(message, bytes):
            message = message.decode(errors="replace")
        if isinstance(message, str):
            try:
                return msgspec.json.format(message, indent=-1)  # keeps each number as it is written
            except (msgspec.DecodeError, RecursionError):
                pass
        return msgspec.json.encode(message).decode()

"""Messages as the bytes and the text that targets send."""

from typing import Any

import msgspec


def as_bytes(message: Any) -> bytes:
    """Return bytes as they are, text in UTF-8, and other objects as `str` shows them.

    Raises:
        UnicodeEncodeError: for text that UTF-8 cannot express, such as half of a surrogate pair.
    """
    if isinstance(message, bytes):
        return message
    return str(message).encode()


def as_text(message: Any) -> str:
    """Return text as it is, bytes decoded from UTF-8, and other objects as `str` shows them."""
    return message.decode(errors="replace") if isinstance(message, bytes) else str(message)


def as_json(message: Any) -> str | bytes:
    """Return text and bytes as they are, and other objects as JSON text.

    Raises:
        TypeError: if msgspec cannot encode the object.
    """
    return message if isinstance(message, str | bytes) else msgspec.json.encode(message).decode()

"""The interface of formatters, and the one that changes nothing."""

from abc import ABC, abstractmethod
from typing import Any


class IFormatter(ABC):
    """Turns a message into the text that a target sends."""

    @abstractmethod
    def format(self, message: Any) -> str:
        """Return the text of a message.

        Args:
            message: the message as the source gave it.
        """


Formatter = IFormatter


class DefaultFormatter(IFormatter):
    """Sends text as it is, and other objects as `str` shows them."""

    def format(self, message: Any) -> str:
        """Return the text of a message.

        Args:
            message: text, or any object.
        """
        return message if isinstance(message, str) else str(message)

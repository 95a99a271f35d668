"""The formatter with a template."""

from string import Formatter
from typing import Any

import msgspec

from colugo.distributor.formatters.formatter import IFormatter
from colugo.errors import ConfigurationError


class TemplateFormatter(IFormatter):
    """Fills a message's fields into a template of `str.format`, such as `"{symbol} is {price:.2f}"`.

    Args:
        template: the text; `{message}` is the message itself.

    Raises:
        ConfigurationError: if the template is malformed.
    """

    def __init__(self, template: str) -> None:
        try:
            names = [name for _, name, _, _ in Formatter().parse(template) if name is not None]
        except ValueError as error:
            raise ConfigurationError(f"template {template!r} is malformed: {error}") from None
        if any(not name or name[0].isdigit() for name in names):
            raise ConfigurationError(f"template {template!r} needs names between its braces, as in {{price}}")
        self._template = template

    def format(self, message: Any) -> str:
        """Return the text with the fields of a message.

        Args:
            message: a dict, an object with attributes, or a JSON object as text.

        Raises:
            KeyError: if the message lacks a field of the template.
            ValueError: if the template has fields, and the message is text that is not a JSON object.
        """
        return self._template.format_map(_Fields(message))


class _Fields(dict[str, Any]):
    """The fields of a message, which is decoded when the first one is looked up."""

    def __init__(self, message: Any) -> None:
        super().__init__(message=message)
        self._fields: dict[str, Any] | None = None

    def __missing__(self, name: str) -> Any:
        if self._fields is None:
            self._fields = fields_of(self["message"])
        return self._fields[name]


def fields_of(message: Any) -> dict[str, Any]:
    """Return the fields of a message.

    Args:
        message: a dict, an object with attributes, or a JSON object as text.

    Raises:
        ValueError: for text that is not a JSON object.
        TypeError: for an object without attributes.
    """
    if isinstance(message, str | bytes):
        try:
            message = msgspec.json.decode(message)
        except (msgspec.DecodeError, RecursionError, UnicodeEncodeError) as error:
            raise ValueError(f"the message is not JSON: {error}") from None
        if not isinstance(message, dict):
            raise ValueError(  # noqa: TRY004 - the text is wrong, not its type
                f"the message is not a JSON object but {type(message).__name__}"
            )
    if isinstance(message, dict):
        return message
    names = [*getattr(message, "__dict__", ()), *_slots(type(message))]
    if not names:
        raise TypeError(
            f"Unsupported message type {type(message).__name__}: use str, dict or an object with attributes"
        )
    return {name: getattr(message, name) for name in names if hasattr(message, name)}


def _slots(cls: type) -> list[str]:
    slots: list[str] = []
    for base in cls.__mro__:
        named = vars(base).get("__slots__", ())
        slots += [named] if isinstance(named, str) else named
    return [name for name in slots if not name.startswith("__")]

"""Routes: which messages of which sources reach which targets."""

import re
from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from typing import Any

import msgspec

from colugo.distributor.formatters.template import fields_of
from colugo.distributor.targets.payload import as_text
from colugo.errors import ConfigurationError


class Route(
    msgspec.Struct,
    kw_only=True,
    frozen=True,
    forbid_unknown_fields=True,
    rename={"sources": "from", "targets": "to"},
):
    """One route. A message takes every route that fits, but reaches each target once.

    Attributes:
        sources: names of sources, also with `*` and `?`; in TOML, `from`.
        targets: names of targets, also with `*` and `?`; in TOML, `to`.
        pattern: a regular expression that has to be found in the message's text; "" for any message.
        field: a field of the message (a dict, an object, or a JSON object as text); "" for any message.
        value: the field's value as text, also with `*` and `?`.
    """

    sources: list[str] = msgspec.field(default_factory=lambda: ["*"])
    targets: list[str] = msgspec.field(default_factory=lambda: ["*"])
    pattern: str = ""
    field: str = ""
    value: str = "*"

    def __post_init__(self) -> None:
        """Check the pattern and the value.

        Raises:
            ConfigurationError: if the pattern is no regular expression, or a value has no field.
        """
        if self.value != "*" and not self.field:
            raise ConfigurationError(f"value {self.value!r} needs a field")
        try:
            re.compile(self.pattern)
        except re.error as error:
            raise ConfigurationError(
                f"pattern {self.pattern!r} is not a regular expression: {error}"
            ) from None

    def condition(self) -> Callable[[Any], bool] | None:
        """Return a function that tells if a message takes the route; None if all do."""
        if not self.pattern and not self.field:
            return None
        expression = re.compile(self.pattern)

        def fits(message: Any) -> bool:
            try:
                if self.pattern and not expression.search(as_text(message)):
                    return False
                return not self.field or fnmatchcase(str(fields_of(message)[self.field]), self.value)
            except Exception:  # noqa: BLE001 - it has no such text or field
                return False

        return fits


def fits_name(name: str, patterns: Iterable[str]) -> bool:
    """Return True if a name is one of some names, or fits one with `*` and `?`."""
    return any(fnmatchcase(name, pattern) for pattern in patterns)

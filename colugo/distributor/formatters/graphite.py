"""The formatter of Graphite's plaintext protocol."""

import math
import re
from datetime import UTC, datetime
from typing import Any

from colugo.distributor.formatters.formatter import IFormatter
from colugo.distributor.formatters.template import fields_of

_UNSAFE = re.compile(r"[\s/;\x00-\x1f\x7f]+")
"""Carbon ends a path at a blank, begins tags at a semicolon, and makes folders of slashes."""
_DOTS = re.compile(r"\.{2,}")
"""Carbon makes a folder of each part between two dots: without a part, another metric's file."""
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
"""The numbers that all programs of the plaintext protocol read alike."""
_DIRECTIONS = {"buy": 1, "sell": -1}
_LONGEST_PART = 255
"""Bytes of a file's name."""
_LONGEST_PATH = 4000
"""Bytes; Linux opens no longer path than 4096, and carbon ends a connection at a line of over 16,384."""


class GraphiteFormatter(IFormatter):
    """Turns a TradingView alert into two metrics of carbon's plaintext protocol: its direction and its price.

    The lines are `PREFIX.NAME.SYMBOL.INTERVAL.direction VALUE TIME` and `….price VALUE TIME`. The direction
    is 1 for buy, -1 for sell, and 0 for everything else. The time is in Unix seconds. Blanks, slashes and
    semicolons in a path become `_`.

    Args:
        prefix: the first part of each path.
    """

    def __init__(self, prefix: str = "tvt_agents") -> None:
        self._prefix = _part("prefix", prefix)

    def format(self, message: Any) -> str:
        """Return the two lines of an alert, without a line break at the end.

        Args:
            message: a dict, a JSON object as text, or an object with attributes: `name`, `symbol`,
                `interval`, `direction`, `price` and `timestamp` (ISO 8601; without an offset it is UTC).

        Raises:
            ValueError: for text that is not a JSON object, and for values that carbon would misread.
            KeyError: if a field is missing; it names the field.
            TypeError: for another type of message.
        """
        alert = fields_of(message)
        symbol = _text("symbol", alert["symbol"]).replace(":", ".")
        path = f"{self._prefix}.{_part('name', alert['name'])}.{_part('symbol', symbol)}"
        path = f"{path}.{_part('interval', alert['interval'])}"
        if len(path.encode()) > _LONGEST_PATH:
            raise ValueError(f"the metric's path has more than {_LONGEST_PATH} bytes: {path[:100]}…")
        direction = _DIRECTIONS.get(str(alert["direction"]).lower(), 0)
        price = _price(alert["price"])
        time = _unix_seconds(alert["timestamp"])
        return f"{path}.direction {direction} {time}\n{path}.price {price} {time}"


def _text(field: str, value: object) -> str:
    if value is None or isinstance(value, dict | list):
        raise ValueError(f"{field} must be text or a number, not {value!r:.100}")
    return str(value)


def _part(field: str, value: object) -> str:
    part = _DOTS.sub(".", _UNSAFE.sub("_", _text(field, value).strip())).strip(".")
    if not part:
        raise ValueError(f"{field} must not be empty, because it is part of the metric's path: {value!r}")
    if any(len(name.encode()) > _LONGEST_PART for name in part.split(".")):
        raise ValueError(f"{field} is too long for a file's name of {_LONGEST_PART} bytes: {part[:100]}…")
    return part


def _price(price: object) -> str:
    text = "" if isinstance(price, bool) else str(price).strip()
    if not _NUMBER.fullmatch(text) or not math.isfinite(float(text)):
        raise ValueError(f"price must be a finite number, not {price!r:.100}")
    return text


def _unix_seconds(timestamp: object) -> int:
    try:
        moment = timestamp if isinstance(timestamp, datetime) else datetime.fromisoformat(timestamp)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise ValueError(f"timestamp must be a time in ISO 8601, not {timestamp!r:.100}") from None
    seconds = math.floor((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
    if seconds < 0:  # carbon takes -1 for now
        raise ValueError(f"timestamp must not be before 1970: {timestamp!r}")
    return seconds

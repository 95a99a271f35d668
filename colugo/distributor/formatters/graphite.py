"""The formatter of Graphite's plaintext protocol."""

import math
import re
from datetime import UTC, datetime
from typing import Any

from colugo.distributor.formatters.formatter import IFormatter
from colugo.distributor.formatters.template import fields_of

_UNSAFE = re.compile(r"[\s/;\x00-\x1f\x7f]+")
"""Carbon ends a path at a blank, begins tags at a semicolon, and makes folders of slashes."""
_DIRECTIONS = {"buy": 1, "sell": -1}


class GraphiteFormatter(IFormatter):
    """Turns a TradingView alert into two metrics of carbon's plaintext protocol: its direction and its price.

    The lines are `PREFIX.NAME.SYMBOL.INTERVAL.direction VALUE TIME` and `….price VALUE TIME`. The direction
    is 1 for buy, -1 for sell, and 0 for everything else. The time is in Unix seconds.

    Args:
        prefix: the first part of each path.
    """

    def __init__(self, prefix: str = "tvt_agents") -> None:
        self._prefix = prefix

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
        symbol = str(alert["symbol"]).replace(":", ".")
        parts = (self._prefix, _part("name", alert["name"]), _part("symbol", symbol))
        path = ".".join((*parts, _part("interval", alert["interval"])))
        direction = _DIRECTIONS.get(str(alert["direction"]).lower(), 0)
        price = _price(alert["price"])
        time = _unix_seconds(alert["timestamp"])
        return f"{path}.direction {direction} {time}\n{path}.price {price} {time}"


def _part(field: str, value: object) -> str:
    part = _UNSAFE.sub("_", str(value).strip())
    if not part.strip("."):
        raise ValueError(f"{field} must not be empty, because it is part of the metric's path: {value!r}")
    return part


def _price(price: object) -> object:
    try:
        number = math.nan if isinstance(price, bool) else float(price)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"price must be a finite number, not {price!r}")
    return price.strip() if isinstance(price, str) else price


def _unix_seconds(timestamp: object) -> int:
    try:
        moment = datetime.fromisoformat(timestamp)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise ValueError(f"timestamp must be a time in ISO 8601, not {timestamp!r}") from None
    return math.floor((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())

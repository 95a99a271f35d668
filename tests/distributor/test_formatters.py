"""Formatters: the lines of carbon's plaintext protocol, JSON lines, templates, and bad input to each."""

import json
import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from colugo.distributor import (
    DefaultFormatter,
    Formatter,
    GraphiteFormatter,
    IFormatter,
    JsonLinesFormatter,
    TemplateFormatter,
)
from colugo.errors import ConfigurationError
from tests.support.strategies import json_values, texts

ALERT: dict[str, Any] = {
    "id": 123,
    "name": "MyStrategy",
    "symbol": "BINANCE:BTCUSD",
    "interval": 15,
    "direction": "BUY",
    "price": 60000.50,
    "timestamp": "2024-06-01T03:16:17Z",
}
SECONDS = 1717211777
FORMATTERS = [DefaultFormatter(), GraphiteFormatter(), JsonLinesFormatter(), TemplateFormatter("{symbol}")]


@dataclass
class Alert:
    """An alert as an object."""

    name: str = "MyStrategy"
    symbol: str = "BINANCE:ETHUSD"
    interval: int = 15
    direction: str = "Close entry(s) order long"
    price: float = 3000.75
    timestamp: str = "2024-06-01T03:16:17Z"


class SlottedAlert:
    """The same without a __dict__."""

    __slots__ = ("direction", "interval", "name", "price", "symbol", "timestamp")

    def __init__(self) -> None:
        for name, value in vars(Alert()).items():
            setattr(self, name, value)


def graphite(**changes: Any) -> list[str]:
    """The two lines of the alert with some changes."""
    return GraphiteFormatter().format(ALERT | changes).split("\n")


# --- Graphite


@pytest.mark.parametrize("message", [ALERT, json.dumps(ALERT), json.dumps(ALERT).encode()])
def test_an_alert_becomes_two_lines(message: Any) -> None:
    assert GraphiteFormatter().format(message) == (
        f"tvt_agents.MyStrategy.BINANCE.BTCUSD.15.direction 1 {SECONDS}\n"
        f"tvt_agents.MyStrategy.BINANCE.BTCUSD.15.price 60000.5 {SECONDS}"
    )


@pytest.mark.parametrize("message", [Alert(), SlottedAlert()])
def test_an_alert_may_be_an_object(message: object) -> None:
    assert GraphiteFormatter("my agents").format(message) == (
        f"my_agents.MyStrategy.BINANCE.ETHUSD.15.direction 0 {SECONDS}\n"
        f"my_agents.MyStrategy.BINANCE.ETHUSD.15.price 3000.75 {SECONDS}"
    )


@pytest.mark.parametrize(
    ("direction", "value"),
    [
        ("BUY", 1),
        ("buy", 1),
        ("SELL", -1),
        ("Sell", -1),
        ("Close entry(s) order long", 0),
        ("UNKNOWN", 0),
        ("", 0),
        (None, 0),
        (1, 0),
    ],
)
def test_a_direction_is_1_for_buy_and_minus_1_for_sell_and_else_0(direction: Any, value: int) -> None:
    assert f".direction {value} " in graphite(direction=direction)[0]


@pytest.mark.parametrize(
    "timestamp",
    [
        "2024-06-01T03:16:17Z",
        "2024-06-01T03:16:17",
        "2024-06-01T05:16:17+02:00",
        "20240601T031617.999Z",
        datetime(2024, 6, 1, 3, 16, 17, tzinfo=UTC),
    ],
)
def test_a_time_becomes_whole_unix_seconds(timestamp: Any) -> None:
    assert all(line.endswith(f" {SECONDS}") for line in graphite(timestamp=timestamp))


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("my strategy", "my_strategy"),
        (" trimmed\n", "trimmed"),
        ("a \t\r\n b", "a_b"),
        ("a\u00a0b\u2028c", "a_b_c"),
        ("a;tag=b", "a_tag=b"),
        ("../../etc/passwd", "_._etc_passwd"),
        ("a..b.", "a.b"),
        ("a\x00b", "a_b"),
        (7, "7"),
    ],
)
def test_what_carbon_would_misread_in_a_path_is_mended(name: Any, path: str) -> None:
    assert graphite(name=name)[0] == f"tvt_agents.{path}.BINANCE.BTCUSD.15.direction 1 {SECONDS}"


@pytest.mark.parametrize("field", ["name", "symbol", "interval", "direction", "price", "timestamp"])
def test_a_missing_field_is_named(field: str) -> None:
    alert = {name: value for name, value in ALERT.items() if name != field}
    with pytest.raises(KeyError, match=f"^'{field}'$"):
        GraphiteFormatter().format(alert)
    with pytest.raises(KeyError, match=f"^'{field}'$"):
        GraphiteFormatter().format(json.dumps(alert))


@pytest.mark.parametrize(
    "price",
    [
        math.nan,
        math.inf,
        "nan",
        "",
        "a lot",
        "1 000",
        "1_000",
        "1\n2",
        "0x10",
        None,
        True,
        [],
        Fraction(1, 3),
        pytest.param(10**5000, id="long"),
    ],
)
def test_a_price_that_is_no_number_is_an_error(price: Any) -> None:
    with pytest.raises(ValueError, match=r"price must be a finite number|Exceeds the limit"):
        graphite(price=price)


@pytest.mark.parametrize(
    ("price", "printed"),
    [
        (100, "100"),
        (100.0, "100.0"),
        ("1.10", "1.10"),
        (" -3 ", "-3"),
        (1e22, "1e+22"),
        (Decimal("1.50"), "1.50"),
    ],
)
def test_a_price_is_printed_as_it_came(price: Any, printed: str) -> None:
    assert graphite(price=price)[1].split() == [
        "tvt_agents.MyStrategy.BINANCE.BTCUSD.15.price",
        printed,
        str(SECONDS),
    ]


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"timestamp": "yesterday"}, "timestamp must be a time in ISO 8601, not 'yesterday'"),
        ({"timestamp": 1717211777}, "timestamp must be a time in ISO 8601, not 1717211777"),
        ({"timestamp": None}, "timestamp must be a time in ISO 8601, not None"),
        ({"timestamp": "1969-12-31T23:59:59Z"}, "timestamp must not be before 1970"),
        ({"name": ""}, "name must not be empty"),
        ({"symbol": " . "}, "symbol must not be empty"),
        ({"symbol": None}, "symbol must be text or a number, not None"),
        ({"interval": {"minutes": 15}}, "interval must be text or a number"),
        ({"name": "x" * 10_000_000}, "name is too long for a file's name of 255 bytes"),
        ({"name": "x." * 2_500}, "the metric's path has more than 4000 bytes"),
        ({"name": "\ud800"}, "surrogates not allowed"),
    ],
)
def test_what_cannot_be_mended_is_an_error_with_the_value(changes: dict[str, Any], error: str) -> None:
    with pytest.raises(ValueError, match=error) as raised:
        graphite(**changes)
    assert len(str(raised.value)) < 300


@pytest.mark.parametrize(
    "text",
    ['{"id": 123, "name": "MyStrategy",', "", "[]", '"text"', "1", "[" * 100_000, "\ud800", b"\xff{}", "NaN"],
)
def test_text_that_is_no_json_object_is_a_value_error(text: Any) -> None:
    for formatter in (GraphiteFormatter(), TemplateFormatter("{symbol}")):
        with pytest.raises(ValueError, match=r"^the message is not "):
            formatter.format(text)


@pytest.mark.parametrize("message", [123, 1.5, None, [ALERT], object(), True])
def test_another_type_is_a_type_error(message: Any) -> None:
    with pytest.raises(TypeError, match=r"^Unsupported message type"):
        GraphiteFormatter().format(message)


parts = texts | st.integers() | st.floats()


changed = st.fixed_dictionaries(
    {
        "name": parts,
        "symbol": parts,
        "interval": parts,
        "direction": texts,
        "price": st.integers() | st.floats() | texts | st.decimals(),
    }
)
zones = st.none() | st.integers(-840, 840).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@given(changed, st.integers(86_400, 250_000_000_000), zones)
def test_carbon_reads_from_each_line_what_was_meant(
    changes: dict[str, Any], moment: int, zone: timezone | None
) -> None:
    timestamp = datetime.fromtimestamp(moment, zone or UTC)
    written = timestamp.isoformat() if zone is not None else timestamp.isoformat().removesuffix("+00:00")
    try:
        lines = graphite(timestamp=written, **changes)
    except ValueError:
        return
    assert len(lines) == 2
    for line, last, value in zip(lines, ("direction", "price"), (None, float(changes["price"])), strict=True):
        path, read, seconds = line.split()  # as carbon does
        names = path.split(".")
        assert names[0] == "tvt_agents"
        assert names[-1] == last
        assert all(names)
        assert not set(path) & set("/;\n\0")
        assert float(read) == value if value is not None else float(read) in (-1, 0, 1)
        assert int(seconds) == moment


# --- the others


def test_the_names_of_the_interface_are_one_class() -> None:
    assert Formatter is IFormatter
    assert DefaultFormatter().format("a\nb") == "a\nb"
    assert DefaultFormatter().format(ALERT) == str(ALERT)


@pytest.mark.parametrize(
    ("message", "line"),
    [
        ({"a": 1}, '{"a":1}'),
        ('{\n "a": 1.10,\r\n "b": 1e400 }', '{"a":1.10,"b":1e400}'),
        (b'{"a": [1, 2]}', '{"a":[1,2]}'),
        ("two\nlines", '"two\\nlines"'),
        (b"\xff\n", '"\ufffd\\n"'),
        ("", '""'),
        ("NaN", '"NaN"'),
        (None, "null"),
        (Alert(), json.dumps(vars(Alert()), separators=(",", ":"))),
    ],
)
def test_each_message_is_one_line_of_json(message: Any, line: str) -> None:
    assert JsonLinesFormatter().format(message) == line


@given(json_values)
def test_json_lines_keep_the_message(message: Any) -> None:
    for given_as in (message, json.dumps(message, indent=2)):
        line = JsonLinesFormatter().format(given_as)
        assert "\n" not in line
        assert json.loads(line) == message or isinstance(message, str)


def test_deep_json_text_stays_text_and_other_objects_are_a_type_error() -> None:
    deep = "[" * 100_000 + "]" * 100_000
    assert json.loads(JsonLinesFormatter().format(deep)) == deep
    with pytest.raises(TypeError, match="unsupported"):
        JsonLinesFormatter().format(object())


@pytest.mark.parametrize(
    ("template", "message", "text"),
    [
        ("{symbol} is {price:.2f}", ALERT, "BINANCE:BTCUSD is 60000.50"),
        ("{symbol} is {price}", json.dumps(ALERT), "BINANCE:BTCUSD is 60000.5"),
        ("{symbol}", Alert(), "BINANCE:ETHUSD"),
        ("got {message}", "not JSON", "got not JSON"),
        ("{{}}", 1, "{}"),
    ],
)
def test_a_template_takes_the_fields_of_a_message(template: str, message: Any, text: str) -> None:
    assert TemplateFormatter(template).format(message) == text


def test_a_template_needs_fields_that_the_message_has() -> None:
    with pytest.raises(KeyError, match="volume"):
        TemplateFormatter("{volume}").format(ALERT)


@pytest.mark.parametrize("template", ["{", "}", "{}", "{0}", "{symbol!x"])
def test_a_malformed_template_is_found_at_once(template: str) -> None:
    with pytest.raises(ConfigurationError, match="template"):
        TemplateFormatter(template)


@pytest.mark.parametrize("formatter", FORMATTERS, ids=lambda one: type(one).__name__)
def test_a_message_of_10_mb_is_formatted(formatter: IFormatter) -> None:
    message = json.dumps(ALERT | {"note": "x" * 10_000_000})
    assert formatter.format(message)

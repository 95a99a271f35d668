"""Alerts at Graphite: the bytes at a TCP socket, and what carbon has stored of them."""

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from colugo.distributor import GraphiteFormatter, GraphiteTarget
from tests.support.carbon import carbon
from tests.support.line_server import LineServer


def alert(name: str, at: int, price: Any) -> dict[str, Any]:
    return {
        "name": name,
        "symbol": "BINANCE:BTCUSD",
        "interval": 15,
        "direction": "sell",
        "price": price,
        "timestamp": datetime.fromtimestamp(at, UTC).isoformat(),
    }


def test_an_alert_leaves_as_two_lines_of_the_plaintext_protocol() -> None:
    with LineServer() as server:
        target = GraphiteTarget("127.0.0.1", server.port)
        target.formatter = GraphiteFormatter()
        target.open()
        target.on_message(alert("Mine", 1717211777, 60000.5))
        target.close()
        assert server.wait_for(2) == [
            "tvt_agents.Mine.BINANCE.BTCUSD.15.direction -1 1717211777",
            "tvt_agents.Mine.BINANCE.BTCUSD.15.price 60000.5 1717211777",
        ]


def test_carbon_stores_an_alert_and_what_was_mended_in_its_path(tmp_path: Path) -> None:
    now = int(time.time()) - 60
    with carbon(tmp_path) as server:
        target = GraphiteTarget("127.0.0.1", server.port)
        target.formatter = GraphiteFormatter()
        target.open()
        target.on_message(alert("Mine", now, 60000.5))
        target.on_message(alert("my; two//names", now, "1.25"))
        target.close()
        for name, price in (("Mine", 60000.5), ("my_two_names", 1.25)):
            metric = f"tvt_agents.{name}.BINANCE.BTCUSD.15"
            assert server.wait_for(f"{metric}.price") == {now: price}
            assert server.wait_for(f"{metric}.direction") == {now: -1.0}

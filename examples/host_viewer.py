"""A subscriber to the readings of all machines that run host_monitor: a live table, or lines in a pipe.

    python examples/host_viewer.py
    python examples/host_monitor.py      in a second terminal, on this or other machines

The readings are typed messages (examples/host_reading.py), so the callback gets validated objects.
"""

import logging
from collections.abc import Iterable

from rich.console import Console
from rich.live import Live
from rich.logging import RichHandler
from rich.table import Table

from colugo import Advertisement, MessageInfo, Node
from examples.host_reading import TOPIC, HostReading


class HostViewer(Node):
    def __init__(self, name: str, live: Live | None) -> None:
        super().__init__(name)
        self.live = live
        self.latest: dict[bytes, HostReading] = {}
        self.add_subscriber(TOPIC, self.received, codec=HostReading, on_disconnect=self.gone)

    def received(self, reading: HostReading, info: MessageInfo) -> None:
        if self.live is None:
            print(reading, flush=True)
        elif info.peer is not None:
            self.latest[info.peer.socket_id] = reading
            self.live.update(table(self.latest.values()), refresh=True)

    def gone(self, monitor: Advertisement) -> None:
        self.logger.info("gone: %s", monitor)
        self.latest.pop(monitor.socket_id, None)
        if self.live is not None:
            self.live.update(table(self.latest.values()), refresh=True)


def table(readings: Iterable[HostReading]) -> Table:
    result = Table("host", caption="Press Ctrl-C to stop")
    for name in ("load", "cpu", "memory", "received", "sent"):
        result.add_column(name, justify="right")
    for reading in readings:
        result.add_row(reading.host, *reading.texts().values())
    return result


def main() -> None:
    console = Console()
    if not console.is_terminal:
        logging.basicConfig(level=logging.INFO)
        HostViewer("host_viewer", None).start()
        return
    # rich keeps the table below the log messages
    logging.basicConfig(
        level=logging.INFO, format="%(message)s", handlers=[RichHandler(console=console, show_path=False)]
    )
    with Live(table([]), console=console, auto_refresh=False) as live:
        HostViewer("host_viewer", live).start()


if __name__ == "__main__":
    main()

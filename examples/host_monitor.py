"""A publisher of real readings of this machine: processor, memory and network, once a second.

    python examples/host_monitor.py
    python examples/host_viewer.py      in a second terminal, on this or another machine

The readings are typed messages (examples/host_reading.py). Needs psutil.
"""

import logging
import platform
import sys
import time

from colugo import Node
from examples.host_reading import TOPIC, HostReading

try:
    import psutil
except ImportError:
    sys.exit("host_monitor needs psutil: pip install psutil")


class HostMonitor(Node):
    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.publisher = self.add_publisher(TOPIC, codec=HostReading)
        self.before = network_counters()
        psutil.cpu_percent()  # the first call only starts the measurement
        self.add_repeater(1000, self.tick)

    def tick(self) -> None:
        reading = self.read()
        print(f"sending {reading}")
        self.publisher.send(reading)

    def read(self) -> HostReading:
        before, now = self.before, network_counters()
        self.before = now
        elapsed_s = now[0] - before[0]
        memory = psutil.virtual_memory()
        return HostReading(
            host=platform.node(),
            load=psutil.getloadavg()[0],
            cpu_percent=psutil.cpu_percent(),
            memory_used_bytes=memory.total - memory.available,
            memory_total_bytes=memory.total,
            received_bytes_per_s=(now[1] - before[1]) / elapsed_s,
            sent_bytes_per_s=(now[2] - before[2]) / elapsed_s,
        )


def network_counters() -> tuple[float, int, int]:
    """Return the time in seconds, and the bytes received and sent so far on all interfaces."""
    counters = psutil.net_io_counters()
    if counters is None:  # a machine without any interface
        return time.monotonic(), 0, 0
    return time.monotonic(), counters.bytes_recv, counters.bytes_sent


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    HostMonitor("host_monitor").start()

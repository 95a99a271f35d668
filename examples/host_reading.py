"""The message of host_monitor and host_viewer, which both import; no program of its own.

A msgspec.Struct given as the codec travels as msgpack, and is checked against these types on arrival.
"""

import msgspec

TOPIC = "host.reading"


class HostReading(msgspec.Struct, frozen=True):
    """What a machine was doing at one moment.

    Attributes:
        host: its name.
        load: tasks that ran or waited to run, the mean of one minute.
        cpu_percent: of all its processors, since the reading before.
        memory_used_bytes: what programs hold.
        memory_total_bytes: what is built in.
        received_bytes_per_s: over all network interfaces, since the reading before.
        sent_bytes_per_s: the same.
    """

    host: str
    load: float
    cpu_percent: float
    memory_used_bytes: int
    memory_total_bytes: int
    received_bytes_per_s: float
    sent_bytes_per_s: float

    def texts(self) -> dict[str, str]:
        """The values with their units, for people."""
        return {
            "load": f"{self.load:.2f}",
            "cpu": f"{self.cpu_percent:.0f} %",
            "memory": f"{self.memory_used_bytes / 1e9:.1f} of {self.memory_total_bytes / 1e9:.1f} GB",
            "received": f"{self.received_bytes_per_s / 1e3:.1f} kB/s",
            "sent": f"{self.sent_bytes_per_s / 1e3:.1f} kB/s",
        }

    def __str__(self) -> str:
        return f"{self.host}: " + ", ".join(f"{name} {text}" for name, text in self.texts().items())

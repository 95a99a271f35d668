"""The message type that host_monitor and host_viewer import; not a program of its own.

A msgspec.Struct as the codec is sent as msgpack, and validated against these types on arrival.
"""

import msgspec

TOPIC = "host.reading"


class HostReading(msgspec.Struct, frozen=True):
    """The state of a machine at one moment.

    Attributes:
        host: the host's name.
        load: the load average over one minute.
        cpu_percent: the use of all processors since the last reading.
        memory_used_bytes: the memory in use.
        memory_total_bytes: the installed memory.
        received_bytes_per_s: the rate on all network interfaces since the last reading.
        sent_bytes_per_s: the same for sent bytes.
    """

    host: str
    load: float
    cpu_percent: float
    memory_used_bytes: int
    memory_total_bytes: int
    received_bytes_per_s: float
    sent_bytes_per_s: float

    def texts(self) -> dict[str, str]:
        """Format the values with their units."""
        return {
            "load": f"{self.load:.2f}",
            "cpu": f"{self.cpu_percent:.0f} %",
            "memory": f"{self.memory_used_bytes / 1e9:.1f} of {self.memory_total_bytes / 1e9:.1f} GB",
            "received": f"{self.received_bytes_per_s / 1e3:.1f} kB/s",
            "sent": f"{self.sent_bytes_per_s / 1e3:.1f} kB/s",
        }

    def __str__(self) -> str:
        return f"{self.host}: " + ", ".join(f"{name} {text}" for name, text in self.texts().items())

"""Readings of this machine, from psutil if it is installed, else from Linux's /proc."""

import os
from pathlib import Path

from colugo.cli.demo.demo_messages import Load, Memory, NetworkLoad

try:
    import psutil
except ImportError:  # the extra `colugo[demo]`
    psutil = None  # type: ignore[assignment]

_MEMORY_FILE = Path("/proc/meminfo")
_NETWORK_FILE = Path("/proc/net/dev")
_HEAD_LINES = 2
_SENT_COLUMN = 8


def can_read() -> bool:
    """Return True if psutil is installed or /proc has the files."""
    return psutil is not None or (
        hasattr(os, "getloadavg") and _MEMORY_FILE.exists() and _NETWORK_FILE.exists()
    )


def read_load() -> Load:
    """Read the current load."""
    return Load(*(psutil.getloadavg() if psutil is not None else os.getloadavg()))


def read_memory() -> Memory:
    """Read the current use of memory, without caches that the system can free."""
    if psutil is None:
        return parse_meminfo(_MEMORY_FILE.read_text())
    memory = psutil.virtual_memory()
    return Memory(used=memory.total - memory.available, total=memory.total)


def read_network() -> NetworkLoad:
    """Read the current network counters."""
    if psutil is None:
        return parse_net_dev(_NETWORK_FILE.read_text())
    counters = psutil.net_io_counters()
    return NetworkLoad(counters.bytes_recv, counters.bytes_sent) if counters else NetworkLoad(0, 0)


def parse_meminfo(text: str) -> Memory:
    """Parse Linux's /proc/meminfo (proc_meminfo(5)), which counts in KiB."""
    fields = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    total, available = (int(fields[name].split()[0]) * 1024 for name in ("MemTotal", "MemAvailable"))
    return Memory(used=total - available, total=total)


def parse_net_dev(text: str) -> NetworkLoad:
    """Parse Linux's /proc/net/dev (proc_pid_net(5)): two header lines, then one per interface."""
    rows = [line.split(":", 1)[1].split() for line in text.splitlines()[_HEAD_LINES:] if ":" in line]
    return NetworkLoad(
        received=sum(int(row[0]) for row in rows), sent=sum(int(row[_SENT_COLUMN]) for row in rows)
    )

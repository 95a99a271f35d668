"""The host: its id, and its limit of open files."""

import hashlib
import socket
import sys
from pathlib import Path

if sys.platform != "win32":
    import resource

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_OPEN_FILES = Path("/proc/self/fd")
_NAMESPACES = ("/proc/self/ns/net", "/proc/self/ns/mnt")


def host_id() -> str:
    """Return eight hexadecimal digits that are equal for processes with the same network and files.

    On Linux they are derived from the boot id and the network and mount namespaces, so that each container
    counts as a host; elsewhere from the host name.
    """
    parts = _namespaces() or [socket.gethostname()]
    return hashlib.blake2b("|".join(parts).encode(), digest_size=4).hexdigest()


def knows_namespaces() -> bool:
    """Return True if equal host ids guarantee the same network and files (Linux)."""
    return bool(_namespaces())


def _namespaces() -> list[str]:
    try:
        return [
            _BOOT_ID.read_bytes().strip().decode(),
            *(str(Path(name).stat().st_ino) for name in _NAMESPACES),
        ]
    except OSError:
        return []


def spare_files() -> int:
    """Return how many more files this process may open until an eighth of its limit is left (Linux)."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY:
        return sys.maxsize
    try:
        # since Linux 6.2, the size is the number of entries
        opened = _OPEN_FILES.stat().st_size or sum(1 for _ in _OPEN_FILES.iterdir())
    except OSError:  # no descriptor is left to list them
        return 0
    return limit * 7 // 8 - opened


def raise_open_files_limit() -> int:
    """Raise the soft limit of open files to the hard limit; return the resulting limit.

    A socket needs several descriptors: about 200 sockets reach the usual soft limit of 1,024.
    """
    if sys.platform == "win32":
        return 65536
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = hard if hard != resource.RLIM_INFINITY else max(soft, 65536)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        except (OSError, ValueError):  # macOS refuses more than its OPEN_MAX
            return soft
        return wanted
    return soft if soft != resource.RLIM_INFINITY else 65536

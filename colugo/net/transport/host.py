"""What the library asks of and knows about the machine it runs on."""

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
    """Eight hexadecimal digits, the same for processes that share a network and its files.

    Made of the boot id and the network and mount namespaces (Linux), so that containers of one
    machine count as hosts of their own; elsewhere of the host name.
    """
    parts = _namespaces() or [socket.gethostname()]
    return hashlib.blake2b("|".join(parts).encode(), digest_size=4).hexdigest()


def knows_namespaces() -> bool:
    """Whether the host id is equal only if network and files are the same (Linux)."""
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
    """How many more files this process may open until only an eighth of its limit is left (Linux)."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY:
        return sys.maxsize
    try:
        opened = _OPEN_FILES.stat().st_size or sum(1 for _ in _OPEN_FILES.iterdir())  # a size since Linux 6.2
    except OSError:  # not even this one
        return 0
    return limit * 7 // 8 - opened


def raise_open_files_limit() -> int:
    """Raise the soft limit of open files to the hard one; return what is in force.

    A socket takes several descriptors, and the usual soft limit of 1,024 is used up by about 200.
    """
    if sys.platform == "win32":
        return 65536
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = hard if hard != resource.RLIM_INFINITY else max(soft, 65536)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        except (OSError, ValueError):  # macOS refuses what is over its own OPEN_MAX
            return soft
        return wanted
    return soft if soft != resource.RLIM_INFINITY else 65536

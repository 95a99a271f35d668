"""What the library asks of and knows about the machine it runs on."""

import hashlib
import socket
import sys
from pathlib import Path

if sys.platform != "win32":
    import resource

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_NAMESPACES = ("/proc/self/ns/net", "/proc/self/ns/mnt")


def host_id() -> str:
    """Eight hexadecimal digits, the same for processes that share a network and its files.

    Made of the boot id and the network and mount namespaces (Linux), so that containers of one
    machine count as hosts of their own; elsewhere of the host name.
    """
    try:
        parts = [_BOOT_ID.read_bytes().strip().decode()]
        parts += [str(Path(name).stat().st_ino) for name in _NAMESPACES]
    except OSError:
        parts = [socket.gethostname()]
    return hashlib.blake2b("|".join(parts).encode(), digest_size=4).hexdigest()


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

"""The programs that use the mDNS port on this machine (Linux)."""

import os
from contextlib import suppress
from pathlib import Path

_PROC = Path("/proc")
_PORT = ":14E9"  # 5353
_TABLES = ("net/udp", "net/udp6")
_INODE_COLUMN = 9


def holders() -> list[str]:
    """List the other programs that have UDP port 5353 open, as far as permissions show them."""
    wanted = {f"socket:[{inode}]" for table in _TABLES for inode in _inodes(_PROC / table)}
    if not wanted:
        return []
    names: dict[str, None] = {}
    for process in _PROC.iterdir():
        if process.name.isdigit() and int(process.name) != os.getpid() and _has(process, wanted):
            with suppress(OSError):  # the process has exited meanwhile
                names[(process / "comm").read_text(encoding="utf-8", errors="replace").strip()] = None
    return sorted(names)


def _inodes(table: Path) -> list[str]:
    try:
        lines = table.read_text(encoding="ascii").splitlines()[1:]
    except OSError:
        return []
    rows = [line.split() for line in lines]
    return [row[_INODE_COLUMN] for row in rows if len(row) > _INODE_COLUMN and row[1].endswith(_PORT)]


def _has(process: Path, wanted: set[str]) -> bool:
    try:
        return any(
            link.is_symlink() and str(link.readlink()) in wanted for link in (process / "fd").iterdir()
        )
    except OSError:  # another user's process, or it has exited meanwhile
        return False

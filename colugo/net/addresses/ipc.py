"""Unix domain sockets between the nodes of one user on one host."""

import errno
import logging
import os
import re
import socket
import stat
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import zmq
from tornado.ioloop import IOLoop

from colugo.net.transport.host import knows_namespaces, spare_files

PREFIX = "ipc://"
_MAX_PATH_BYTES = 100
"""The limit for a Unix socket's path is 107."""
_NAME = re.compile(r"[0-9a-f]{16}")
_NAME_BYTES = 16
_STAMP = "swept"
_SWEEP_AGE_S = 60.0
"""Younger files are kept, because a file exists a moment before its socket accepts connections."""
_BINDS_PER_COUNT = 32
_WATCH_S = 1.0
_ROOM_TO_BIND = 32
_ROOM_TO_STAY = 8
"""Free descriptors needed for each bound file of this process: peers may connect to all at once."""
_bound: set[str] = set()
"""The endpoints of all nodes of this process."""


class _FolderError(Exception):
    """The folder does not belong to this user alone."""


class IpcFiles:
    """The Unix socket files of a node's bound sockets, and of other nodes on this host.

    All files are in one folder, which only the user can access. A file's name is the socket id, so nothing
    else has to be advertised. If a file cannot be created, peers connect over tcp.

    ZeroMQ aborts the process if a peer connects to its file while no descriptor is left (4.3.5,
    `ipc_listener.cpp`; tcp is not affected). So the number of files is limited by the available descriptors,
    and when these run low, the node permanently removes all its files. Existing connections stay, and new
    ones use tcp.

    Args:
        enabled: whether to use ipc; always off where the host id ignores network and mount namespaces.
        base: the parent of the folder; the system's temporary folder if this is not an absolute path of an
            existing folder.
    """

    def __init__(self, *, enabled: bool, base: Path, logger: logging.Logger) -> None:
        self._base = base
        self._enabled = enabled and knows_namespaces()
        self._logger = logger
        self._logged: set[str] = set()
        self._own: set[str] = set()
        self._binds = 0
        self._room = 0
        self._loop: IOLoop | None = None
        self._timer: object | None = None

    def bind(self, zmq_socket: zmq.Socket[bytes], socket_id: bytes) -> list[str]:
        """Bind a socket to its file; return the endpoint, or an empty list if that is not possible."""
        if not self._enabled:
            return []
        if not self._has_room():
            self._log(logging.INFO, "the limit of open files is too low for all sockets of this process")
            return []
        try:
            folder = self._folder(make=True)
            if not self._own:
                _sweep(folder)
            endpoint = f"{PREFIX}{folder}/{socket_id.hex()}"
            zmq_socket.bind(endpoint)
        except (_FolderError, OSError, ValueError) as error:  # a ZMQError is an OSError
            self._log(logging.WARNING if isinstance(error, _FolderError) else logging.INFO, str(error))
            return []
        self._own.add(endpoint)
        _bound.add(endpoint)
        self._watch()
        return [endpoint]

    def remove(self, endpoints: list[str]) -> None:
        """Remove the files of a closing socket; ZeroMQ leaves them behind."""
        for endpoint in endpoints:
            self._own.discard(endpoint)
            _bound.discard(endpoint)
            with suppress(OSError):
                _path(endpoint).unlink()

    def find(self, socket_id: bytes) -> str | None:
        """Return the ipc endpoint of a socket on this host, or None if it does not accept connections."""
        if not self._enabled:
            return None
        try:
            path = self._folder(make=False) / socket_id.hex()
            if path.lstat().st_uid == os.geteuid() and _probe(path) == errno.EPROTOTYPE:
                return f"{PREFIX}{path}"
        except _FolderError as error:
            self._log(logging.WARNING, str(error))
        except (OSError, ValueError):  # usually: the socket has no file
            pass
        return None

    def open(self, loop: IOLoop) -> None:
        """Start watching the number of open files, on the running loop."""
        self._loop = loop
        self._watch()

    def close(self) -> None:
        """Stop watching the number of open files."""
        if self._loop is not None and self._timer is not None:
            self._loop.remove_timeout(self._timer)
        self._loop = None

    def _has_room(self) -> bool:
        if self._binds % _BINDS_PER_COUNT == 0:
            self._room = spare_files()
        self._binds += 1
        return self._room >= _ROOM_TO_BIND * (len(_bound) + 1)

    def _watch(self) -> None:
        if self._loop is not None and self._timer is None and self._own:
            self._timer = self._loop.call_later(_WATCH_S, self._check_open_files)

    def _check_open_files(self) -> None:
        self._timer = None
        if spare_files() < _ROOM_TO_STAY * len(_bound):
            self._enabled = False
            self.remove(list(self._own))
            self._log(logging.WARNING, "this process has almost reached its limit of open files")
        self._watch()

    def _folder(self, *, make: bool) -> Path:
        base = self._base
        if not base.is_absolute() or not base.is_dir():
            base = Path(tempfile.gettempdir())
        folder = base / f"colugo-{os.geteuid()}"
        if len(os.fsencode(folder)) + 1 + _NAME_BYTES > _MAX_PATH_BYTES:
            raise OSError(errno.ENAMETOOLONG, f"paths in {folder} are longer than {_MAX_PATH_BYTES} bytes")
        if make:
            with suppress(FileExistsError):
                folder.mkdir(0o700)
        mode = folder.lstat()
        if not stat.S_ISDIR(mode.st_mode) or mode.st_uid != os.geteuid() or mode.st_mode & 0o077:
            raise _FolderError(f"{folder} must be a folder that belongs to this user, with mode 0700")
        return folder

    def _log(self, level: int, reason: str) -> None:
        if reason not in self._logged:
            self._logged.add(reason)
            self._logger.log(level, "tcp instead of ipc on this host: %s", reason)


def is_file_missing(endpoint: str) -> bool:
    """Return True for an ipc endpoint whose file is gone, so that no peer can connect."""
    return endpoint.startswith(PREFIX) and not _path(endpoint).exists()


def _path(endpoint: str) -> Path:
    return Path(endpoint.removeprefix(PREFIX))


def _probe(path: Path) -> int:
    """Connect a datagram socket, which a bound stream socket does not notice.

    Returns:
        EPROTOTYPE if a stream socket is bound there, ECONNREFUSED if its process has ended.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as probe:
        probe.setblocking(False)
        return probe.connect_ex(str(path))


def _sweep(folder: Path) -> None:
    """Remove the files of killed processes, at most once a minute across all processes."""
    stamp = folder / _STAMP
    before = time.time() - _SWEEP_AGE_S
    if stamp.exists() and stamp.stat().st_mtime > before:
        return
    stamp.touch()
    for path in folder.iterdir():
        with suppress(OSError):
            if _NAME.fullmatch(path.name) and path.lstat().st_mtime < before and _is_stale(path):
                path.unlink()


def _is_stale(path: Path) -> bool:
    return stat.S_ISSOCK(path.lstat().st_mode) and _probe(path) == errno.ECONNREFUSED

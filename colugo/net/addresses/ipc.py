"""Unix sockets between the nodes of one user on one host."""

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
"""A Unix socket's path has 107 at most."""
_NAME = re.compile(r"[0-9a-f]{16}")
_NAME_BYTES = 16
_STAMP = "swept"
_SWEEP_AGE_S = 60.0
"""Younger files are left alone: a file is there a moment before its socket can be found."""
_BINDS_PER_COUNT = 32
_WATCH_S = 1.0
_ROOM_TO_BIND = 32
_ROOM_TO_STAY = 8
"""Descriptors that must be free for each bound file of this process: all may be connected to at once."""
_bound: set[str] = set()
"""The endpoints of all nodes of this process."""


class _FolderError(Exception):
    """The folder is not to be used."""


class IpcFiles:
    """The files at which a node's bound sockets can be met besides their ports, and those of others.

    All lie in one folder, which is the user's alone. The name is the socket id, so nothing more has to
    be advertised. If anything is in the way, there is no file, and peers connect over tcp.

    ZeroMQ aborts the process that has no descriptor left when somebody connects to its file (4.3.5,
    `ipc_listener.cpp`; not so with tcp). So there are no more files than descriptors allow, and all of
    a node go away, for good, while some are left: connections that are up stay, others come over tcp.

    Args:
        enabled: whether to use any; never where the host id cannot tell network and mount namespaces.
        base: the parent of the folder; if it is not an absolute path of a folder, the system's temporary
            folder.
        logger: hears why there are none.
    """

    def __init__(self, *, enabled: bool, base: Path, logger: logging.Logger) -> None:
        self._base = base
        self._enabled = enabled and knows_namespaces()
        self._logger = logger
        self._told: set[str] = set()
        self._own: set[str] = set()
        self._binds = 0
        self._room = 0
        self._loop: IOLoop | None = None
        self._timer: object | None = None

    def bind(self, zmq_socket: zmq.Socket[bytes], socket_id: bytes) -> list[str]:
        """Bind a socket to its file, too.

        Args:
            zmq_socket: a socket that is bound to its port.
            socket_id: its id.

        Returns:
            The endpoint, or nothing if it cannot be had.
        """
        if not self._enabled:
            return []
        if not self._has_room():
            self._tell(logging.INFO, "this process may not open enough files for all its sockets")
            return []
        try:
            folder = self._folder(make=True)
            if not self._own:
                _sweep(folder)
            endpoint = f"{PREFIX}{folder}/{socket_id.hex()}"
            zmq_socket.bind(endpoint)
        except (_FolderError, OSError, ValueError) as error:  # a ZMQError is an OSError
            self._tell(logging.WARNING if isinstance(error, _FolderError) else logging.INFO, str(error))
            return []
        self._own.add(endpoint)
        _bound.add(endpoint)
        self._watch()
        return [endpoint]

    def remove(self, endpoints: list[str]) -> None:
        """Remove the files of a socket that is being closed; ZeroMQ leaves them behind."""
        for endpoint in endpoints:
            self._own.discard(endpoint)
            _bound.discard(endpoint)
            with suppress(OSError):
                _path(endpoint).unlink()

    def find(self, socket_id: bytes) -> str | None:
        """The endpoint of a socket of this host, if it can be connected to.

        Args:
            socket_id: its id.
        """
        if not self._enabled:
            return None
        try:
            path = self._folder(make=False) / socket_id.hex()
            if path.lstat().st_uid == os.geteuid() and _probe(path) == errno.EPROTOTYPE:
                return f"{PREFIX}{path}"
        except _FolderError as error:
            self._tell(logging.WARNING, str(error))
        except (OSError, ValueError):  # most of the time: it has no file
            pass
        return None

    def open(self, loop: IOLoop) -> None:
        """Begin to watch the number of open files, on the running loop."""
        self._loop = loop
        self._watch()

    def close(self) -> None:
        """End the watch."""
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
            self._timer = self._loop.call_later(_WATCH_S, self._look)

    def _look(self) -> None:
        self._timer = None
        if spare_files() < _ROOM_TO_STAY * len(_bound):
            self._enabled = False
            self.remove(list(self._own))
            self._tell(logging.WARNING, "this process has nearly as many open files as it may have")
        self._watch()

    def _folder(self, *, make: bool) -> Path:
        base = self._base
        if not base.is_absolute() or not base.is_dir():
            base = Path(tempfile.gettempdir())
        folder = base / f"colugo-{os.geteuid()}"
        if len(os.fsencode(folder)) + 1 + _NAME_BYTES > _MAX_PATH_BYTES:
            raise OSError(errno.ENAMETOOLONG, f"paths in {folder} have more than {_MAX_PATH_BYTES} bytes")
        if make:
            with suppress(FileExistsError):
                folder.mkdir(0o700)
        mode = folder.lstat()
        if not stat.S_ISDIR(mode.st_mode) or mode.st_uid != os.geteuid() or mode.st_mode & 0o077:
            raise _FolderError(f"{folder} is not a folder of this user alone (mode 0700)")
        return folder

    def _tell(self, level: int, reason: str) -> None:
        if reason not in self._told:
            self._told.add(reason)
            self._logger.log(level, "tcp instead of ipc on this host: %s", reason)


def is_file_missing(endpoint: str) -> bool:
    """Whether it is an ipc endpoint without its file, which nobody can connect to any more."""
    return endpoint.startswith(PREFIX) and not _path(endpoint).exists()


def _path(endpoint: str) -> Path:
    return Path(endpoint.removeprefix(PREFIX))


def _probe(path: Path) -> int:
    """The error of connecting a datagram socket, which a bound stream socket does not notice.

    Returns:
        EPROTOTYPE if a stream socket is bound there, ECONNREFUSED if its process has gone.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as probe:
        probe.setblocking(False)
        return probe.connect_ex(str(path))


def _sweep(folder: Path) -> None:
    """Remove the files of processes that were killed; at most once a minute, whoever does it."""
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

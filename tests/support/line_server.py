"""A TCP server of threads that keeps the lines it reads."""

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Self

from tests.support.essentials import seconds, wait_until

Serve = Callable[["LineServer", socket.socket], None]


def read_all(server: "LineServer", connection: socket.socket) -> None:
    """Keep whole lines until the end of the connection."""
    with connection.makefile("rb") as lines:
        for line in lines:
            if line.endswith(b"\n"):
                server.lines.append(line[:-1].decode())


class LineServer:
    """Serves one connection after another on a thread of each.

    Args:
        serve: what it does with a connection, which is closed after it.
        port: where it listens; 0 for a free one.
        receive_bytes: the buffer of a connection; 0 for the system's.
    """

    def __init__(self, serve: Serve = read_all, port: int = 0, receive_bytes: int = 0) -> None:
        self.lines: list[str] = []
        self.connections = 0
        self._serve = serve
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if receive_bytes:
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        self._listener.bind(("127.0.0.1", port))
        self._listener.listen()
        self.port: int = self._listener.getsockname()[1]
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, name="test line server", daemon=True)]
        self._threads[0].start()

    def wait_for(self, count: int, within: float = 10.0) -> list[str]:
        """Return the lines when there are so many."""
        wait_until(lambda: len(self.lines) >= count, within)
        assert len(self.lines) >= count, f"{len(self.lines)} lines instead of {count}: {self.lines[-3:]}"
        return self.lines

    def close(self) -> None:
        """Listen no longer, and close all connections."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._open:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(seconds(5))
            assert not thread.is_alive()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._open.append(connection)
            thread = threading.Thread(
                target=self._run, args=(connection,), name="test line server", daemon=True
            )
            self._threads.append(thread)
            thread.start()

    def _run(self, connection: socket.socket) -> None:
        with connection, suppress(ConnectionError, TimeoutError):
            self._serve(self, connection)

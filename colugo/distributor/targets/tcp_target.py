"""The target of TCP servers that read lines."""

import logging
import socket
import sys
import threading
import time
from collections import deque
from functools import partial

from colugo.distributor.backoff import backoff_s
from colugo.distributor.per_instance import PerInstance
from colugo.distributor.targets.payload import as_bytes
from colugo.distributor.targets.socket_target import SocketTarget
from colugo.distributor.targets.tcp_connection import TcpConnection
from colugo.distributor.threaded_target import pool_of
from colugo.protocol.throttle import Throttle

_LOGGER = logging.getLogger(__name__)
_CHECK_S = 0.1
_RETRY_MS = (200, 5000)
_FINISH_S = 1.0
_SILENCE_S = 60
"""After so much time, a peer that takes nothing, or an idle one that does not answer, counts as lost."""


class TcpTarget(SocketTarget):
    """Sends lines on a TCP connection; if it is lost, connects again and repeats what was lost.

    TCP tells a sender which bytes have reached the peer's host, by acknowledgements (RFC 9293, section 3.4),
    but not which of them its program has read. So this target keeps each line until it is acknowledged. When
    a connection is lost, it sends the lines without an acknowledgement again, each as a whole, on the next
    one. The others are safe in one case and unknown in another:

    - The peer has closed the connection in order (FIN): its program had read everything that was
      acknowledged, because a host resets the connection if it had not (RFC 1122, section 4.2.2.13). If the
      program has dropped lines that it had read, no sender can tell.
    - The connection was reset (RST), or the peer's host was lost: acknowledged lines may have waited to be
      read. `unconfirmed` counts all lines of such a connection that were acknowledged; so many may be lost.

    If an acknowledgement is lost on its way, a line arrives twice. Each loss is logged with these numbers.
    A message is complete when the kernel has taken it; the target keeps watching it.

    Acknowledgements can be seen on Linux. Elsewhere nothing is sent again, and all lines of a lost connection
    are `unconfirmed`.
    """

    sent_again: int = 0
    """Lines that were sent again, because their connection was lost."""
    unconfirmed: int = 0
    """Lines that may be lost: of connections that were reset, acknowledged, but perhaps not read."""
    _connection: TcpConnection | None = None
    _watcher: threading.Thread | None = None
    _again: PerInstance[deque[bytes]] = PerInstance(deque)
    _stop = PerInstance(threading.Event)
    _throttle = PerInstance(partial(Throttle, period_s=1.0))

    def open(self) -> None:
        """Connect. If the peer cannot be reached, log it: the next message tries again."""
        self._stop.clear()
        super().open()

    def _release(self) -> None:
        """Wait a second for acknowledgements, and disconnect."""
        self._stop.set()
        if self._socket_lock.acquire(timeout=0.1):  # else a thread hangs in `send`
            try:
                self._finish()
            finally:
                self._socket_lock.release()
        self._report_left()
        super()._release()

    def disconnect(self) -> None:
        """Close the connection, if there is one. A thread that is sending gets an OSError."""
        self._connection = None
        super().disconnect()

    def send(self, data: str | bytes) -> None:
        """Send a line, after connecting and sending lost lines again if need be.

        Args:
            data: text, sent in UTF-8, or bytes; with its line break.

        Raises:
            OSError: if it could not be sent; the line is not kept.
        """
        line = as_bytes(data)
        with self._socket_lock:
            connection = self._ready()
            try:
                connection.send(line)
            except OSError as error:
                connection.forget_last()
                self._lose(connection, str(error))
                raise
            if connection.unacknowledged() and self._watcher is None:
                name = f"target {pool_of(self).name} acknowledgements"
                self._watcher = threading.Thread(target=self._watch, name=name, daemon=True)
                self._watcher.start()

    def _ready(self) -> TcpConnection:
        """Return a connection on which everything was sent that was due; called with the lock."""
        connection = self._connection
        if connection is not None and (end := connection.end()) is not None:
            self._lose(connection, end)
            connection = None
        if connection is None:
            self.connect()
            if (connection := self._connection) is None:
                raise ConnectionAbortedError(f"the connection to {self.peer} has been closed")
        try:
            while self._again:
                connection.send(self._again.popleft())
                self.sent_again += 1
        except OSError as error:
            self._lose(connection, str(error))
            raise
        return connection

    def _lose(self, connection: TcpConnection, end: str) -> None:
        """Note that a connection has ended, and what it took; called with the lock."""
        kept = [line for _, line in connection.unacknowledged()]
        self._again.extendleft(reversed(kept))
        unknown = connection.lines - len(kept) if end or not connection.knows else 0
        self.unconfirmed += unknown
        self.disconnect()
        text = "%s %s: %d lines are sent again; up to %d more may be lost (so far: %d and %d)"
        how = f"was lost ({end})" if end else "has closed the connection"
        total = self.sent_again + len(self._again)
        self._log(text, self.peer, how, len(kept), unknown, total, self.unconfirmed)

    def _watch(self) -> None:
        """See to it that lines are acknowledged even if no other follows; on a thread of its own."""
        failures = 0
        while not self._stop.wait(_CHECK_S if not failures else backoff_s(failures, *_RETRY_MS)):
            with self._socket_lock:
                if self._stop.is_set():
                    return
                try:
                    waiting = self._ready().unacknowledged()
                except OSError as error:
                    failures += 1
                    self._log("cannot send %d lines again to %s: %s", len(self._again), self.peer, error)
                    continue
                failures = 0
                if not waiting:
                    self._watcher = None
                    return

    def _finish(self) -> None:
        """Wait until the peer has read everything; send again what is lost meanwhile, once."""
        for _ in range(2):
            if self._connection is None and not self._again:
                return
            try:
                connection = self._ready()
            except OSError:
                break
            end = connection.finish(_FINISH_S)
            if end is None:  # the peer has not closed, and the kernel keeps sending
                break
            if not end and not connection.unacknowledged():
                break
            self._lose(connection, end)

    def _report_left(self) -> None:
        left = len(self._again) + (0 if self._connection is None else len(self._connection.unacknowledged()))
        if left:
            text = "target %s: closed before %s has acknowledged the last %d lines"
            _LOGGER.warning(text, pool_of(self).name, self.peer, left)

    def _log(self, text: str, *values: object) -> None:
        """Log a warning; at most one of its kind a second."""
        suppressed = self._throttle.admit(text, time.monotonic())
        if suppressed is not None:
            more = f" ({suppressed} more like it before)" if suppressed else ""
            _LOGGER.warning("target %s: %s%s", pool_of(self).name, text % values, more)

    def _keep(self, made: socket.socket) -> None:
        super()._keep(made)
        self._connection = TcpConnection(made)

    def _connected(self) -> socket.socket:
        made = super()._connected()
        try:
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            if sys.platform == "linux":  # tcp(7)
                made.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, max(1, _SILENCE_S // 2))
                made.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, max(1, _SILENCE_S // 6))
                made.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _SILENCE_S * 1000)
        except OSError:
            made.close()
            raise
        return made

"""A TCP connection that knows which of its lines the peer has not acknowledged."""

import select
import socket
import struct
import sys
import time
from collections import deque

if sys.platform == "linux":
    from fcntl import ioctl
    from termios import TIOCOUTQ

_READ_BYTES = 65_536
_SETTLE_MS = 1000
_SETTLE_STEP_MS = 5
_INT = struct.Struct("i")


class TcpConnection:
    """Sends lines, and keeps each until the peer's kernel has acknowledged its last byte.

    On Linux, the number of bytes without an acknowledgement is that of the ioctl SIOCOUTQ (tcp(7)), which the
    kernel still answers after the connection has ended. Elsewhere no line is kept.
    """

    knows = sys.platform == "linux"
    """True if this system tells what is acknowledged."""

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self._sent = 0
        self._kept: deque[tuple[int, bytes]] = deque()
        self.lines = 0
        """Lines that were sent, at least in part."""

    def send(self, line: bytes) -> None:
        """Send a line.

        Raises:
            OSError: if the connection has ended; some of the line may have been sent.
        """
        self.lines += 1
        if self.knows:
            self._kept.append((self._sent + len(line), line))
        rest = memoryview(line)
        while rest:
            taken = self._socket.send(rest)
            self._sent += taken
            rest = rest[taken:]

    def forget_last(self) -> None:
        """Forget the last line: it could not be sent, and its owner knows."""
        self.lines -= 1
        if self._kept:
            self._kept.pop()

    def unacknowledged(self) -> deque[tuple[int, bytes]]:
        """Return the lines of which the peer has not acknowledged all, each after its end's position."""
        if self._kept and (descriptor := self._socket.fileno()) >= 0:
            waiting: int = _INT.unpack(ioctl(descriptor, TIOCOUTQ, bytes(_INT.size)))[0]
            acknowledged = self._sent - waiting
            while self._kept and self._kept[0][0] <= acknowledged:
                self._kept.popleft()
        return self._kept

    def end(self) -> str | None:
        """Return how the peer has ended the connection: `""` by closing it, or an error; None if it has not.

        What the peer has sent is read and ignored: only behind it, the end can be seen.
        """
        try:
            while self._socket.recv(_READ_BYTES, socket.MSG_DONTWAIT):
                pass
        except BlockingIOError:
            return None
        except OSError as error:
            return str(error)
        self._settle()
        return ""

    def finish(self, within_s: float) -> str | None:
        """Send no more, and wait some seconds until the peer has closed the connection, too; return as `end`.

        So the peer can read everything: a socket that is closed while something waits to be read in it resets
        the connection (RFC 1122, section 4.2.2.13).
        """
        deadline = time.monotonic() + within_s
        try:
            self._socket.shutdown(socket.SHUT_WR)
            self._sent += 1  # the FIN takes a number, too (RFC 9293, section 3.4)
            while (left := deadline - time.monotonic()) > 0:
                self._socket.settimeout(left)
                if not self._socket.recv(_READ_BYTES):
                    self._settle()
                    return ""
        except TimeoutError:
            pass
        except OSError as error:
            return str(error)
        return None

    def _settle(self) -> None:
        """Wait until what is on its way to a peer that has closed is acknowledged or refused.

        A peer may close its side only, and read on (RFC 9293, section 3.6.1).
        """
        refused = select.poll()
        refused.register(self._socket, 0)  # POLLHUP and POLLERR are always reported
        for _ in range(_SETTLE_MS // _SETTLE_STEP_MS):
            if not self.unacknowledged() or refused.poll(_SETTLE_STEP_MS):
                return

"""Counting and checking what arrives: the callback that all libraries call alike."""

import time
from collections.abc import Callable

_CHECKS = 64
_STAMP_BYTES = 8


def payload(size: int) -> bytes:
    """The message of that size: a pattern in which no piece can be missing or doubled unnoticed."""
    return b"".join(number.to_bytes(4, "big") for number in range(size // 4 + 1))[:size]


def stamped(filling: bytes) -> bytes:
    """A message that begins with the time."""
    return time.monotonic_ns().to_bytes(_STAMP_BYTES, "big") + filling[_STAMP_BYTES:]


class Receipt:
    """Counts messages, and tells when all have come.

    The length of every message is checked, and all bytes of the last one and of one in so many before it
    (64 a round). A message of one byte is a probe, which finds out who is connected.

    Args:
        say: takes `heard NUMBER` for a probe, and `received COUNT NANOSECONDS` when all have come.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._size = 0
        self._payload = b""
        self._wanted = 0
        self._step = 1
        self._next_check = 0
        self.count = 0
        self.wrong = 0

    def expect(self, size: int, count: int) -> None:
        """Begin to count anew: so many messages of so many bytes are to come."""
        self._size = size
        self._payload = payload(size)
        self._wanted = count
        self._step = max(1, count // _CHECKS)
        self._next_check = min(count, self._step)
        self.count = self.wrong = 0

    def on_message(self, message: bytes) -> None:
        """Take a message."""
        if len(message) != self._size:
            self._odd(message)
            return
        # A library may call from several threads; CPython does not switch between them in this line.
        self.count = count = self.count + 1
        if count == self._next_check:
            self._check(message, count)

    def _check(self, message: bytes, count: int) -> None:
        if count == self._wanted:
            self._say(f"received {count} {time.monotonic_ns()}")
        if message != self._payload:
            self.wrong += 1
        self._next_check = min(self._wanted, count + self._step)

    def _odd(self, message: bytes) -> None:
        if len(message) == 1:
            self._say(f"heard {message[0]}")
        else:
            self.count += 1
            self.wrong += 1


class TimedReceipt:
    """Takes the time that stamped messages were on their way.

    Args:
        say: as of Receipt.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._size = 0
        self._rest = b""
        self._wanted = 0
        self.times: list[int] = []
        self.wrong = 0

    @property
    def count(self) -> int:
        """How many have come."""
        return len(self.times)

    def expect(self, size: int, count: int) -> None:
        """Begin anew: so many messages of so many bytes are to come."""
        self._size = size
        self._rest = payload(size)[_STAMP_BYTES:]
        self._wanted = count
        self.times = []
        self.wrong = 0

    def on_message(self, message: bytes) -> None:
        """Take a message."""
        now = time.monotonic_ns()
        if len(message) == 1:
            self._say(f"heard {message[0]}")
            return
        if len(message) != self._size or message[_STAMP_BYTES:] != self._rest:
            self.wrong += 1
        self.times.append(now - int.from_bytes(message[:_STAMP_BYTES], "big"))
        if len(self.times) == self._wanted:
            self._say(f"received {self._wanted} {now}")

"""Counting numbered messages, each of which has to arrive once."""

from collections.abc import Iterator

from tools.bench.receipt import payload

_NUMBER_BYTES = 8
_CHECKS = 64


def numbered(size: int, first: int, count: int) -> Iterator[bytes]:
    """So many messages of so many bytes, each beginning with its number.

    Args:
        size: bytes of each; at least 8.
        first: the number of the first.
        count: how many.
    """
    rest = payload(size)[_NUMBER_BYTES:]
    for number in range(first, first + count):
        yield number.to_bytes(_NUMBER_BYTES, "big") + rest


class Tally:
    """Takes what arrives and tells what is missing, doubled or damaged.

    Every number and length is looked at, and all bytes of every message that ends a 64th of the round.
    """

    def __init__(self) -> None:
        self._size = self._first = self._step = 0
        self._rest = b""
        self._seen = bytearray()
        self.arrived = 0
        self.doubled = 0
        self.wrong = 0

    def expect(self, size: int, first: int, count: int) -> None:
        """Begin anew: these, as `numbered` makes them, are to come."""
        self._size = size
        self._first = first
        self._rest = payload(size)[_NUMBER_BYTES:]
        self._seen = bytearray(count)
        self._step = max(1, count // _CHECKS)
        self.arrived = self.doubled = self.wrong = 0

    def take(self, message: bytes) -> bool:
        """Count one.

        Returns:
            Whether it is the one that was missing.
        """
        number = int.from_bytes(message[:_NUMBER_BYTES], "big") - self._first
        if len(message) != self._size or not 0 <= number < len(self._seen):
            self.wrong += 1
            return False
        if self._seen[number]:
            self.doubled += 1
            return False
        self._seen[number] = 1
        self.arrived += 1
        if (number + 1) % self._step == 0 and message[_NUMBER_BYTES:] != self._rest:
            self.wrong += 1
        return self.arrived == len(self._seen)

"""A set of mostly consecutive numbers, kept as ranges."""

import struct
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from itertools import accumulate, chain
from operator import sub
from typing import Self

from colugo.errors import FrameError

MAX_NUMBER = 2**64 - 1

Range = tuple[int, int]
"""A first and a last number, both included."""

_HEAD = struct.Struct("<BQQ")
_CODES = {1: "B", 2: "H", 4: "I", 8: "Q"}
_NEXT = 2
"""The smallest distance between the end of a range and the beginning of the next one."""


class RangeSet:
    """A set of numbers from 1 to 2**64 - 1, as ranges that neither overlap nor touch each other.

    Time and memory grow with the number of ranges, not of numbers. Adding at either end, or to the first
    range, takes constant time. `count` is the number of numbers in the set.
    """

    __slots__ = ("_firsts", "_lasts", "count")

    def __init__(self, ranges: Iterable[Range] = ()) -> None:
        self._firsts: list[int] = []
        self._lasts: list[int] = []
        self.count = 0
        for first, last in ranges:
            self.add(first, last)

    @property
    def floor(self) -> int:
        """The largest number up to which the set contains all numbers from 1; 0 if it does not contain 1."""
        return self._lasts[0] if self._firsts and self._firsts[0] == 1 else 0

    @property
    def last(self) -> int:
        """The largest number in the set; 0 if it is empty."""
        return self._lasts[-1] if self._lasts else 0

    def add(self, first: int, last: int) -> list[Range]:
        """Add a range, and return its parts that are new; raise ValueError unless 1 ≤ first ≤ last."""
        if not 1 <= first <= last <= MAX_NUMBER:
            raise ValueError(f"from {first} to {last} is not a range of numbers from 1 to {MAX_NUMBER}")
        firsts, lasts = self._firsts, self._lasts
        if not lasts or first > lasts[-1] + 1:
            firsts.append(first)
            lasts.append(last)
        elif first == lasts[-1] + 1:
            lasts[-1] = last
        elif first == lasts[0] + 1 and last + 1 < firsts[1]:
            lasts[0] = last
        else:
            return self._merge(first, last)
        self.count += last - first + 1
        return [(first, last)]

    def _merge(self, first: int, last: int) -> list[Range]:
        new = self.gaps(first, last)
        if new:
            firsts, lasts = self._firsts, self._lasts
            begin = bisect_left(lasts, first - 1)
            end = bisect_right(firsts, last + 1)
            if begin < end:
                first = min(first, firsts[begin])
                last = max(last, lasts[end - 1])
            firsts[begin:end] = [first]
            lasts[begin:end] = [last]
            self.count += sum(high - low + 1 for low, high in new)
        return new

    def overlap(self, first: int, last: int) -> list[Range]:
        """Return the parts of a range that are in the set."""
        begin = bisect_left(self._lasts, first)
        end = bisect_right(self._firsts, last, begin)
        inside = list(zip(self._firsts[begin:end], self._lasts[begin:end], strict=True))
        if inside:
            inside[0] = max(first, inside[0][0]), inside[0][1]
            inside[-1] = inside[-1][0], min(last, inside[-1][1])
        return inside

    def gaps(self, first: int, last: int) -> list[Range]:
        """Return the parts of a range that are not in the set."""
        missing = []
        for low, high in self.overlap(first, last):
            if first < low:
                missing.append((first, low - 1))
            first = high + 1
        if first <= last:
            missing.append((first, last))
        return missing

    def encode(self) -> bytes:
        """Encode the set, in one or two bytes for each border while the ranges are short and close.

        The empty set is empty bytes. Any other begins with the width of a distance (1, 2, 4 or 8 bytes) and
        the first range. For each further range follow its distance from the range before, less the minimum
        of two, and the distance from its first to its last number.
        """
        if not self._firsts:
            return b""
        firsts, lasts = self._firsts, self._lasts
        between = [first - last - _NEXT for first, last in zip(firsts[1:], lasts, strict=False)]
        within = map(sub, lasts[1:], firsts[1:])
        distances = list(chain.from_iterable(zip(between, within, strict=True)))
        largest = max(distances, default=0)
        width = next(width for width in _CODES if not largest >> 8 * width)
        head = _HEAD.pack(width, firsts[0], lasts[0])
        return head + struct.pack(f"<{len(distances)}{_CODES[width]}", *distances)

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Decode what `encode` returned; raise FrameError if it is malformed."""
        found = cls()
        if not data:
            return found
        if len(data) < _HEAD.size:
            raise FrameError(f"{len(data)} bytes are too few for a set of ranges")
        width, first, last = _HEAD.unpack_from(data)
        count, rest = divmod(len(data) - _HEAD.size, 2 * width) if width in _CODES else (0, 1)
        if rest or not 1 <= first <= last:
            raise FrameError(
                f"not a set of ranges: {len(data)} bytes of width {width}, from {first} to {last}"
            )
        distances = struct.unpack_from(f"<{2 * count}{_CODES[width]}", data, _HEAD.size)
        if last + sum(distances) + _NEXT * count > MAX_NUMBER:
            raise FrameError(f"a set of ranges of numbers above {MAX_NUMBER}")
        between = (distance + _NEXT for distance in distances[::2])
        steps = chain.from_iterable(zip(between, distances[1::2], strict=True))
        borders = list(accumulate(steps, initial=last))
        found._firsts = [first, *borders[1::2]]
        found._lasts = borders[::2]
        found.count = sum(map(sub, found._lasts, found._firsts)) + len(found._firsts)
        return found

    def __contains__(self, number: int) -> bool:
        at = bisect_left(self._lasts, number)
        return at < len(self._firsts) and self._firsts[at] <= number

    def __iter__(self) -> Iterator[Range]:
        """Iterate over the ranges, in order."""
        return zip(self._firsts, self._lasts, strict=True)

    def __bool__(self) -> bool:
        return bool(self._firsts)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, RangeSet):
            return NotImplemented
        return self._firsts == other._firsts and self._lasts == other._lasts

    __hash__ = None  # type: ignore[assignment]  # mutable

    def __repr__(self) -> str:
        return f"RangeSet({list(self)})"


def to_ranges(numbers: Iterable[int]) -> list[Range]:
    """Return numbers, in any order and with duplicates, as ranges in order; fastest if ascending."""
    ordered = sorted(set(numbers))
    if not ordered:
        return []
    if ordered[-1] - ordered[0] == len(ordered) - 1:
        return [(ordered[0], ordered[-1])]
    ends = [at for at, step in enumerate(map(sub, ordered[1:], ordered)) if step > 1]
    firsts = [ordered[0], *(ordered[at + 1] for at in ends)]
    lasts = [*(ordered[at] for at in ends), ordered[-1]]
    return list(zip(firsts, lasts, strict=True))

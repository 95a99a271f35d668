"""Valid input made invalid in the ways that faults, strangers and attackers do it."""

from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import Literal

Check = Callable[[bytes], bool]
"""A function that returns True if a frame is accepted."""

_EDGES = (0, 1, 2, *(2**bits - step for bits in (7, 8, 15, 16, 31, 32, 63, 64) for step in (1, 0)))
_MAX_STEPS = 3


def mutants(seeds: Sequence[bytes], random: Random, count: int) -> Iterator[bytes]:
    """Yield so many changed seeds, each by one to three mutations.

    Args:
        seeds: valid inputs.
        random: seeded by the caller, so that a failure can be had again.
        count: how many.
    """
    for _ in range(count):
        data = bytearray(random.choice(seeds))
        for _ in range(random.randint(1, _MAX_STEPS)):
            random.choice(_MUTATIONS)(data, random, seeds)
        yield bytes(data)


def with_bytes(frame: bytes, at: int, value: bytes) -> bytes:
    """The frame with other bytes at a place."""
    return frame[:at] + value + frame[at + len(value) :]


def accepted_bytes(frame: bytes, check: Check) -> list[set[int]]:
    """With which values of each of its bytes a frame is accepted; among them is its own."""
    accepted = [
        {value for value in range(256) if check(with_bytes(frame, at, bytes([value])))}
        for at in range(len(frame))
    ]
    assert all(byte in values for byte, values in zip(frame, accepted, strict=True))
    return accepted


def with_numbers(frame: bytes, *sizes: int) -> Iterator[bytes]:
    """The frame with each so many bytes of it set to numbers that lengths, counts and ranges break at."""
    for size in sizes:
        bits = 8 * size
        for at in range(len(frame) - size + 1):
            for number in (*_EDGES, len(frame), len(frame) - at):
                if number < 1 << bits:
                    yield with_bytes(frame, at, number.to_bytes(size, "little"))


def _truncate(data: bytearray, random: Random, seeds: Sequence[bytes]) -> None:
    del data[random.randint(0, len(data)) :]


def _extend(data: bytearray, random: Random, seeds: Sequence[bytes]) -> None:
    data += random.randbytes(random.randint(1, 12))


def _flip_a_bit(data: bytearray, random: Random, seeds: Sequence[bytes]) -> None:
    if data:
        data[random.randrange(len(data))] ^= 1 << random.randrange(8)


def _set_a_byte(data: bytearray, random: Random, seeds: Sequence[bytes]) -> None:
    if data:
        data[random.randrange(len(data))] = random.randrange(256)


def _set_a_number(data: bytearray, random: Random, seeds: Sequence[bytes]) -> None:
    """Where a length or a count may be."""
    size = random.choice((1, 2, 4, 8))
    if len(data) >= size:
        at = random.randrange(len(data) - size + 1)
        order: Literal["little", "big"] = random.choice(("little", "big"))
        before = int.from_bytes(data[at : at + size], order)
        number = random.choice((*_EDGES, before + 1, before - 1, before * 2)) % (1 << 8 * size)
        data[at : at + size] = number.to_bytes(size, order)


def _cut_out(data: bytearray, random: Random, seeds: Sequence[bytes]) -> None:
    begin = random.randint(0, len(data))
    del data[begin : begin + random.randint(1, 8)]


def _repeat(data: bytearray, random: Random, seeds: Sequence[bytes]) -> None:
    begin = random.randint(0, len(data))
    data[begin:begin] = data[begin : begin + random.randint(1, 8)] * random.randint(1, 3)


def _insert(data: bytearray, random: Random, seeds: Sequence[bytes]) -> None:
    at = random.randint(0, len(data))
    data[at:at] = random.randbytes(random.randint(1, 8))


def _splice(data: bytearray, random: Random, seeds: Sequence[bytes]) -> None:
    other = random.choice(seeds)
    data[random.randint(0, len(data)) :] = other[random.randint(0, len(other)) :]


_MUTATIONS: tuple[Callable[[bytearray, Random, Sequence[bytes]], None], ...] = (
    _truncate,
    _extend,
    _flip_a_bit,
    _set_a_byte,
    _set_a_number,
    _set_a_number,
    _cut_out,
    _repeat,
    _insert,
    _splice,
)

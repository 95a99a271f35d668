"""Valid input made invalid in the ways that faults, strangers and attackers do it."""

from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import Literal

_EDGES = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 2**63 - 1, 2**64 - 1)
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

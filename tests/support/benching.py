"""Helpers of the benchmarks' tests."""

from typing import Self


class FakeChild:
    """The base of what stands in for a benchmark's process, and loses, doubles or damages messages.

    Attributes:
        count: how many messages there are in this round.
        lost: of these, how many do not come.
        doubled: how many come once more.
        wrong: how many are damaged.
    """

    count = 0
    lost = 0
    doubled = 0
    wrong = 0

    def __init__(self, _: str, role: str, *arguments: str) -> None:
        self.role = role

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return

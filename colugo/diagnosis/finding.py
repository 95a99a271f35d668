"""What a check has found."""

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line for people.

    Attributes:
        level: how bad it is.
        check: what was looked at, in a word or two.
        text: what was found, with names and values.
        advice: what to do; empty if there is nothing to do.
    """

    level: Level
    check: str
    text: str
    advice: str = ""


def worst(findings: list[Finding]) -> Level:
    """The worst level among them."""
    order = list(Level)
    return max((finding.level for finding in findings), key=order.index, default=Level.OK)

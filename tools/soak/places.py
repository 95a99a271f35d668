"""Where the processes of a soak are: all on this machine, or on hosts of its own with cables to cut."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

HOSTS = 4


class Cable(Protocol):
    """What is between a host and the network."""

    def cut(self, way: str | None = None) -> None:
        """From now on everything vanishes, and nobody is told."""

    def mend(self) -> None:
        """As good as new."""


@dataclass(frozen=True)
class Place:
    """A host, or this machine.

    Attributes:
        name: of it.
        address: where others there reach it.
        prefix: a command that runs another one there.
        env: of processes there.
        cable: None if it has none.
    """

    name: str
    address: str
    prefix: list[str] = field(default_factory=list)
    env: Mapping[str, str] = field(default_factory=dict)
    cable: Cable | None = None


@contextmanager
def this_machine() -> Iterator[list[Place]]:
    """Only this machine, and its loopback."""
    yield [Place("here", "127.0.0.1", env={"COLUGO_SCOPE": "host"})]

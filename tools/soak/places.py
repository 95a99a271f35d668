"""The hosts of a soak: this machine only, or network namespaces with cables to cut."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

HOSTS = 4


class Cable(Protocol):
    """The connection between a host and the network."""

    def cut(self, way: str | None = None) -> None:
        """Drop all packets silently."""

    def mend(self) -> None:
        """Stop dropping packets."""


@dataclass(frozen=True)
class Place:
    """A host, or this machine.

    Attributes:
        name: the host's name.
        address: the host's address.
        prefix: a command that runs another command on the host.
        env: environment variables for processes there.
        cable: the host's cable; None if it has none.
    """

    name: str
    address: str
    prefix: list[str] = field(default_factory=list)
    env: Mapping[str, str] = field(default_factory=dict)
    cable: Cable | None = None


@contextmanager
def this_machine() -> Iterator[list[Place]]:
    """Use only this machine and its loopback."""
    yield [Place("here", "127.0.0.1", env={"COLUGO_SCOPE": "host"})]

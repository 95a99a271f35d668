"""The processes of a soak, each on its host."""

import random
import socket
import uuid
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from tools.soak.actor import Actor
from tools.soak.options import Options
from tools.soak.places import Place
from tools.soak.plan import GROUPS, Plan
from tools.soak.roles import CONSUMER, LISTENER, PRODUCER, RELAY, SENDER

_PORTS = range(20_000, 32_000)
"""Ports below the ephemeral range, because a restarted process must get the same port again."""


class Cast:
    """All processes of a soak, not yet started.

    Args:
        plan: the numbers of processes.
        folder: the folder for their files.
        places: the hosts; the producers and the relay run on the first.
    """

    def __init__(self, plan: Plan, folder: Path, places: Sequence[Place]) -> None:
        self._plan = plan
        self._folder = folder
        self._realm = f"soak-{uuid.uuid4().hex[:12]}"
        self._places = places
        sending: dict[str, Any] = {"rate": plan.rate, "max_messages": plan.max_messages}
        self.producers = self._some(PRODUCER, plan.producers, first=True, groups=list(GROUPS), **sending)
        self.consumers = {
            group: self._some(CONSUMER, plan.members, called=group, group=group) for group in GROUPS
        }
        relayed: dict[str, Any] = {
            "relay": places[0].address,
            "pub_port": free_port(),
            "recv_port": free_port(),
        }
        self.relays = self._some(RELAY, min(plan.senders, 1), first=True, **sending, **relayed)
        self.senders = self._some(SENDER, plan.senders, **sending, **relayed)
        self.listeners = self._some(LISTENER, plan.listeners if plan.senders else 0, **relayed)

    @property
    def with_store(self) -> list[Actor]:
        """The processes with a store."""
        return [*self.producers, *self.relays]

    @property
    def sending(self) -> list[Actor]:
        """The processes that send messages."""
        return [*self.producers, *self.senders]

    @property
    def actors(self) -> list[Actor]:
        """All processes."""
        consumers = [actor for group in self.consumers.values() for actor in group]
        return [*self.relays, *self.producers, *consumers, *self.listeners, *self.senders]

    def _some(
        self, role: str, count: int, *, called: str = "", first: bool = False, **options: Any
    ) -> list[Actor]:
        others = self._places[:1] if first else self._places[1:] or self._places
        return [
            Actor(
                Options(
                    role,
                    f"{called or role}{number}",
                    life=0,
                    folder=str(self._folder),
                    seed=self._plan.seed,
                    number=number,
                    **options,
                ),
                others[number % len(others)],
                self._realm,
            )
            for number in range(count)
        ]


def free_port() -> int:
    """Find a free TCP port that the system does not assign to other programs."""
    while True:
        port = random.choice(_PORTS)
        with closing(socket.socket()) as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port

"""What is to happen in a soak, and what came of it."""

from collections import Counter
from dataclasses import dataclass, field

from tools.soak.verdict import Verdict

MIB = 1024 * 1024
GROUPS = ("audit", "billing")
LISTENERS = "listeners"
"""Those that the relay gives messages to, taken together: one of them is enough."""


@dataclass(frozen=True)
class Plan:
    """How much is to happen.

    Attributes:
        messages: how many are confirmed at least.
        kills: how many processes are killed.
        cuts: how many times a cable is cut; more than 0 needs hosts.
        seconds: how long the sending and the killing take, roughly.
        seed: all that is random follows from it, but for what time makes of it.
        producers: how many processes send by a stream of their own.
        members: how many consumers each group has.
        senders: how many processes send by a relay; 0: there is none.
        listeners: how many processes it gives messages to.
        max_messages: how many a stream holds.
        drain_s: how many seconds the streams may take at the end until all is acknowledged.
        most_memory: how many bytes a process may have.
    """

    messages: int
    kills: int
    cuts: int
    seconds: float
    seed: int
    producers: int = 3
    members: int = 3
    senders: int = 2
    listeners: int = 2
    max_messages: int = 500
    drain_s: float = 120.0
    most_memory: int = 160 * MIB

    @property
    def rate(self) -> float:
        """How many messages each that sends any sends in a second."""
        return self.messages / (self.producers + self.senders) / self.seconds


@dataclass
class Outcome:
    """What came of it.

    Attributes:
        plan: what was to happen.
        verdicts: of the streams, and of the relay.
        faults: everything that must not be, as sentences; none: passed.
        kills: how many, by role.
        cuts: how many.
        memory: the most bytes of a process, by role.
        sending_s: seconds until the last message was confirmed.
        seconds: seconds until all was acknowledged.
    """

    plan: Plan
    verdicts: dict[str, Verdict] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    kills: Counter[str] = field(default_factory=Counter)
    cuts: int = 0
    memory: dict[str, int] = field(default_factory=dict)
    sending_s: float = 0.0
    seconds: float = 0.0

    @property
    def confirmed(self) -> int:
        """Messages, of all ways."""
        return sum(verdict.confirmed for verdict in self.verdicts.values())

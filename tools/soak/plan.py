"""The plan of a soak and its outcome."""

from collections import Counter
from dataclasses import dataclass, field

from tools.soak.verdict import Verdict

MIB = 1024 * 1024
GROUPS = ("audit", "billing")
LISTENERS = "listeners"
"""The receivers behind the relay as a group: one of them must handle each message."""


@dataclass(frozen=True)
class Plan:
    """The parameters of a soak.

    Attributes:
        messages: the minimum number of confirmed messages.
        kills: the number of kills.
        cuts: the number of cable cuts; more than 0 needs hosts.
        seconds: the approximate duration of sending and killing.
        seed: the seed of all random choices; timing still varies.
        producers: the number of processes with a stream of their own.
        members: the number of consumers in each group.
        senders: the number of processes that send through a relay; 0 for no relay.
        listeners: the number of receivers behind the relay.
        max_messages: the capacity of a stream.
        drain_s: how many seconds the streams may take at the end until everything is acknowledged.
        most_memory: the maximum memory of a process in bytes.
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
        """The number of messages per second of each sending process."""
        return self.messages / (self.producers + self.senders) / self.seconds


@dataclass
class Outcome:
    """The outcome of a soak.

    Attributes:
        plan: the plan.
        verdicts: the verdicts on the streams and the relay.
        faults: the faults, as sentences; the soak passes if there are none.
        kills: the number of kills, by role.
        cuts: the number of cable cuts.
        memory: the peak memory of a process in bytes, by role.
        sending_s: seconds until the last message was confirmed.
        seconds: seconds until everything was acknowledged.
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
        """The number of confirmed messages, through streams and the relay."""
        return sum(verdict.confirmed for verdict in self.verdicts.values())

"""All checks of `colugo doctor`, in the order in which they are read."""

from collections.abc import Callable, Iterator

from colugo.diagnosis import agreement, counters, reach, stream_checks, surroundings, topic_checks
from colugo.diagnosis.facts import Facts
from colugo.diagnosis.finding import Finding

Check = Callable[[Facts], Iterator[Finding]]

AROUND: tuple[Check, ...] = (
    surroundings.scope,
    surroundings.multicast,
    surroundings.direct_hosts,
    surroundings.port,
    surroundings.heard,
)
"""Of the machine and its network."""
IN_REALM: tuple[Check, ...] = (
    surroundings.static_peers,
    reach.reachable,
    reach.answering,
    agreement.records,
    agreement.versions,
    agreement.clocks,
    topic_checks.connections,
    counters.counters,
    stream_checks.counters,
)
"""Of the nodes of the realm in force; those of others are only counted, unless there is nobody else."""


def examine(facts: Facts) -> list[Finding]:
    """Everything that there is to say.

    Args:
        facts: what was gathered.
    """
    own = facts.own_realm
    return [
        *(finding for check in AROUND for finding in check(facts)),
        *(finding for check in IN_REALM for finding in check(own)),
        *topic_checks.alone(facts),
    ]

"""All checks of `colugo doctor`, in the order of the output."""

from collections.abc import Callable, Iterator

from colugo.diagnosis import agreement, counters, network_checks, reach, topic_checks
from colugo.diagnosis.facts import Facts
from colugo.diagnosis.finding import Finding

Check = Callable[[Facts], Iterator[Finding]]

SURROUNDINGS: tuple[Check, ...] = (
    network_checks.scope,
    network_checks.multicast,
    network_checks.direct_hosts,
    network_checks.port,
    network_checks.discovered_nodes,
)
"""The checks of the machine and its network."""
IN_REALM: tuple[Check, ...] = (
    network_checks.static_peers,
    reach.reachable,
    reach.answering,
    agreement.records,
    agreement.versions,
    agreement.clocks,
    topic_checks.connections,
    counters.counters,
    counters.streams,
)
"""The checks of the nodes in the realm in force; of all nodes if that realm is empty."""


def examine(facts: Facts) -> list[Finding]:
    """Run all checks on the collected facts."""
    own = facts.own_realm
    return [
        *(finding for check in SURROUNDINGS for finding in check(facts)),
        *(finding for check in IN_REALM for finding in check(own)),
        *topic_checks.unmatched(facts),
    ]

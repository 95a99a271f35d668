"""All checks of `colugo doctor`, in the order in which they are read."""

from collections.abc import Callable, Iterator

from colugo.diagnosis import agreement, flow, reach, surroundings, topics
from colugo.diagnosis.facts import Facts
from colugo.diagnosis.finding import Finding

CHECKS: tuple[Callable[[Facts], Iterator[Finding]], ...] = (
    surroundings.scope,
    surroundings.multicast,
    surroundings.direct_hosts,
    surroundings.port,
    surroundings.heard,
    surroundings.static_peers,
    reach.reachable,
    reach.answering,
    agreement.records,
    agreement.versions,
    agreement.clocks,
    topics.connections,
    topics.alone,
    flow.counters,
)


def examine(facts: Facts) -> list[Finding]:
    """Everything that there is to say.

    Args:
        facts: what was gathered.
    """
    return [finding for check in CHECKS for finding in check(facts)]

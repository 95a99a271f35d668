"""Nothing that was confirmed is lost, though processes are killed and cables cut: the soak, in short.

The long form is `python -m tools.soak`; docs/reliability.md tells what came of it.
"""

import random
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.support.essentials import seconds
from tests.support.namespaces import require_namespaces
from tools.soak.hosts import own_hosts
from tools.soak.places import Place, this_machine
from tools.soak.plan import Outcome, Plan
from tools.soak.report import explain, rows
from tools.soak.soak import Soak


def soak(folder: Path, plan: Plan, places: AbstractContextManager[list[Place]]) -> Outcome:
    """Run it; fail with all that is known if something is wrong."""
    print(plan)
    with places as made:
        outcome = Soak(plan, folder, made).run()
    for what, value in rows(outcome):
        print(f"{what}: {value}")
    assert not outcome.faults, "\n".join([*outcome.faults, *explain(outcome, folder)])
    assert outcome.confirmed >= plan.messages
    assert outcome.kills.total() == plan.kills
    assert outcome.cuts == plan.cuts
    return outcome


def chance() -> int:
    """A seed; a test that fails prints it."""
    return random.randrange(1 << 32)


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_a_few_kills_lose_nothing_that_was_confirmed(tmp_path: Path) -> None:
    plan = Plan(2000, kills=6, cuts=0, seconds=seconds(4), seed=chance(), producers=2, members=2, senders=1)
    soak(tmp_path, plan, this_machine())


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_kills_full_streams_and_silent_cuts_lose_nothing_that_was_confirmed(tmp_path: Path) -> None:
    require_namespaces()
    plan = Plan(20_000, kills=30, cuts=3, seconds=seconds(45), seed=chance(), max_messages=300)
    outcome = soak(tmp_path, plan, own_hosts())
    streams, relay = outcome.verdicts["streams"], outcome.verdicts["relay"]
    # Else nothing of this has been tried.
    assert streams.full > 0
    assert relay.confirmed > 0
    assert {"producer", "consumer"} <= set(outcome.kills)
    assert sum(group.flagged + group.counted for group in streams.groups.values()) > 0

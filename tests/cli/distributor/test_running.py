"""Running without a node, and the counts of messages that were not sent."""

from typing import NoReturn

import pytest

from colugo import BindError, ConfigurationError, Node
from colugo.cli.distributor.running import running_node
from colugo.cli.distributor.stopping import left_lines
from colugo.distributor import TargetStats
from tests.support.essentials import run


def test_a_distributor_runs_without_a_node_that_cannot_start(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def refuse(node: Node) -> NoReturn:
        raise BindError("no port is free")

    monkeypatch.setattr(Node, "__aenter__", refuse)

    async def main() -> None:
        async with running_node("distributor", None, None) as node:
            assert node is None

    run(main())
    assert "no node, so neither topics nor streams can be used: no port is free" in caplog.text


def test_a_realm_that_cannot_work_is_an_error() -> None:
    async def main() -> None:
        async with running_node("distributor", "no realm", None):
            pass

    with pytest.raises(ConfigurationError, match="a realm has 1 to 24"):
        run(main())


@pytest.mark.parametrize(
    ("before", "after", "lines"),
    [
        (TargetStats(completed=1), TargetStats(completed=5), []),
        (TargetStats(failed=3), TargetStats(failed=3, completed=5), []),
        (TargetStats(queued=2), TargetStats(cancelled=2), ["target graphite: 2 messages not sent"]),
        (
            TargetStats(queued=812, failed=1, in_progress=3),
            TargetStats(cancelled=800, failed=8, timed_out=2, in_progress=3),
            ["target graphite: 812 messages not sent (3 in progress)"],
        ),
        (TargetStats(), TargetStats(in_progress=1), ["target graphite: 1 message not sent (1 in progress)"]),
    ],
)
def test_messages_count_as_not_sent_if_they_waited_or_failed_since_the_stop(
    before: TargetStats, after: TargetStats, lines: list[str]
) -> None:
    assert list(left_lines({"graphite": before}, {"graphite": after})) == lines

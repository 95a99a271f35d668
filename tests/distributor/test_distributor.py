"""The life of a distributor: run, flush and shutdown in any order, and sources that go."""

import asyncio
import logging
from typing import Any

import pytest

from colugo.distributor import AbstractDistributionTarget, Distributor, Route, TargetOptions
from tests.support.essentials import run, until
from tests.support.recording_target import FedSource, Gate, RecordingTarget


def test_a_shutdown_before_run_has_begun_ends_it() -> None:
    async def main() -> None:
        distributor = Distributor()
        running = asyncio.create_task(distributor.run())
        await distributor.shutdown()
        await running

    run(main())


def test_messages_flow_on_after_a_flush_that_comes_before_run() -> None:
    async def main() -> None:
        distributor, source, target = Distributor(), FedSource(), RecordingTarget()
        distributor.add_source(source)
        distributor.add_target(target)
        source.put("a")
        running = asyncio.create_task(distributor.run())
        await distributor.flush()
        source.put("b")
        await until(lambda: len(target.outcomes) == 2)
        await distributor.shutdown()
        await running

    run(main())


@pytest.mark.parametrize("running", [True, False])
def test_a_removed_source_leaves_no_task_and_waits_no_longer_than_it_may(
    running: bool,  # noqa: FBT001
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING)
    gate = Gate()

    async def main() -> None:
        distributor, source = Distributor(), FedSource()
        distributor.add_source(source, name="s")
        distributor.add_target(RecordingTarget(gate), name="t", options=TargetOptions(queue=1, full="wait"))
        tasks = asyncio.all_tasks()
        task = asyncio.create_task(distributor.run()) if running else None
        for number in range(20):
            source.put(number)
        await distributor.remove_source("s", drain_ms=50)
        assert not distributor.sources
        await until(lambda: asyncio.all_tasks() - tasks - {task} == set())
        gate.open()
        await distributor.shutdown()
        if task is not None:
            await task

    run(main())
    assert "source s: " in caplog.text
    assert "messages were not distributed" in caplog.text


@pytest.mark.parametrize("error", [OSError("no"), SystemExit(3)])
def test_a_source_or_target_that_raises_when_it_opens_or_closes_harms_no_other(
    error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    class Source(FedSource):
        def open(self) -> None:
            raise error

        def close(self, code: int = -1, reason: str = "") -> None:
            raise error

    class Target(AbstractDistributionTarget):
        open = Source.open
        close = Source.close

        def on_message(self, message: Any) -> None:
            """Do nothing."""

        def process(self, message: Any) -> None:
            """Do nothing."""

    async def main() -> None:
        distributor, source, target = Distributor(), FedSource(), RecordingTarget()
        distributor.add_source(Source(), name="bad")
        distributor.add_source(source)
        distributor.add_target(Target(), name="bad")
        distributor.add_target(target)
        await distributor.start()
        source.put("a")
        await distributor.shutdown()
        assert target.outcomes == [("complete", "a")]

    run(main())
    for what in ("source bad: open", "target bad: open", "source bad: close", "target bad: close"):
        assert f"{what}() raised" in caplog.text


class _Unreadable:
    """A message without text, whose fields cannot be read."""

    def __str__(self) -> str:
        raise OSError("no text")

    @property
    def direction(self) -> str:
        raise OSError("no field")


@pytest.mark.parametrize(
    ("route", "taken"),
    [
        (Route(pattern="^buy"), ["buy", b"buy"]),
        (Route(field="direction", value="b?y"), ['{"direction": "buy"}', {"direction": "buy"}]),
        (Route(sources=["other"]), []),
        (Route(targets=["t*"], value="*"), None),
    ],
)
def test_a_route_takes_what_fits_it(route: Route, taken: list[Any] | None) -> None:
    messages = ["buy", b"buy", "sell buy", b"\xff", '{"direction": "buy"}', {"direction": "buy"}, {"x": 1}, 5]
    messages += [_Unreadable(), None, [], "[]", '{"direction": ["buy"]}']

    async def main() -> None:
        distributor, source, target = Distributor(), FedSource(), RecordingTarget()
        distributor.add_source(source, name="s")
        distributor.add_target(target, name="t", options=TargetOptions(workers=1))
        distributor.add_route(route)
        for message in messages:
            source.put(message)
        await distributor.shutdown()
        assert [message for _, message in target.outcomes] == (messages if taken is None else taken)

    run(main())


def test_threads_of_a_source_wait_for_room_and_are_free_when_it_closes() -> None:
    async def main() -> None:
        distributor, source, target = Distributor(queue=1), FedSource(), RecordingTarget()
        distributor.add_source(source, name="s")
        distributor.add_target(target, options=TargetOptions(workers=1, full="wait"))
        distributor.connect()

        def give() -> None:
            for number in range(100):
                source.put(number)

        giving = [asyncio.create_task(asyncio.to_thread(give)) for _ in range(8)]
        await until(lambda: distributor.received["s"])
        running = asyncio.create_task(distributor.run())
        await asyncio.gather(*giving)
        await distributor.flush()
        await distributor.shutdown()
        await running
        assert len(target.outcomes) == distributor.received["s"] == 800
        await asyncio.to_thread(give)

    run(main())

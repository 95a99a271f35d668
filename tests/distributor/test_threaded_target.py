"""Subclasses of the threaded target as users write them, and the way of messages to them."""

import asyncio
import logging
import threading
from dataclasses import dataclass, field
from typing import Any

import pytest

from colugo.distributor import (
    AbstractDistributionTarget,
    Distributor,
    LoggingMixin,
    ThreadedDistributionTarget,
    lane,
    sender,
)
from colugo.distributor.threaded_target import pool_of
from colugo.errors import DistributorException
from tests.support.essentials import run, seconds, until
from tests.support.leftovers import nothing_left
from tests.support.recording_target import FedSource, Gate, RecordingTarget, distributing


@dataclass
class Defined(ThreadedDistributionTarget):
    """As attrs' @define makes it: no base __init__, equality without a hash."""

    printed: list[str] = field(default_factory=list)

    async def on_message(self, message: Any) -> None:
        super().on_message(message)

    def process(self, message: Any) -> str:
        self.printed.append(f"processed: {message}")
        return f"{message}!"

    def on_complete(self, result: Any) -> None:
        self.printed.append(f"completed: {result}")

    def open(self) -> None:
        self.printed.append("opened")

    def close(self, code: int = -1, reason: str = "") -> None:
        self.printed.append("closed")


def test_the_documented_target_without_base_init_and_await_works() -> None:
    async def main() -> list[str]:
        target = Defined()
        assert target == Defined()
        with pytest.raises(TypeError, match="unhashable"):
            hash(target)
        async with distributing(target) as (distributor, source):
            source.put("a")
            await until(lambda: distributor.stats["t0"].completed == 1)
            assert distributor.stats["t0"].received == 1
        return target.printed

    with nothing_left():
        assert run(main()) == ["opened", "processed: a", "completed: a!", "closed"]


class Console(ThreadedDistributionTarget, LoggingMixin):
    """As in the original's folder of targets."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        LoggingMixin.__init__(self)
        super().__init__()

    async def on_message(self, message: Any) -> Any:
        self.logger.debug("starting thread")
        return await super().on_message(message)

    def process(self, message: Any) -> None:
        self.lines.append(message)


def test_a_coroutine_may_return_what_awaiting_the_base_method_gives() -> None:
    async def main() -> None:
        target = Console()
        assert await target.on_message("direct") is None
        target._worker_pool = None
        async with distributing(target) as (distributor, source):
            for number in range(100):
                source.put(str(number))
            await until(lambda: distributor.stats["t0"].completed == 100)
        assert sorted(target.lines) == sorted(["direct", *map(str, range(100))])

    run(main())


def test_messages_may_be_sent_to_a_target_of_its_own_and_close_waits_for_them() -> None:
    async def main() -> None:
        target = Console()
        for number in range(1000):
            await target.on_message(str(number))
        target.close()
        assert len(target.lines) == 1000

    run(main())


@pytest.mark.parametrize(("poolsize", "workers", "threads"), [(10, None, 10), (3, None, 3), (3, 2, 2)])
def test_the_number_of_threads_is_poolsize_unless_options_say_otherwise(
    poolsize: int, workers: int | None, threads: int
) -> None:
    gate = Gate()

    class Target(ThreadedDistributionTarget):
        def process(self, message: Any) -> None:
            gate(message)

    async def main() -> None:
        async with distributing(Target(poolsize), workers=workers) as (distributor, source):
            for number in range(20):
                source.put(number)
            await until(lambda: len(gate.entered) == threads)
            await until(lambda: distributor.stats["t0"].queued == 20 - threads)
            gate.open()

    run(main())


def test_a_slow_coroutine_with_a_full_queue_holds_up_no_other_target() -> None:
    class Slow(AbstractDistributionTarget):
        def __init__(self) -> None:
            self.free = asyncio.Event()

        def open(self) -> None:
            """Do nothing."""

        def close(self, code: int = -1, reason: str = "") -> None:
            """Do nothing."""

        async def on_message(self, message: Any) -> None:
            await self.free.wait()

        def process(self, message: Any) -> None:
            """Do nothing."""

    async def main() -> None:
        slow, fast = Slow(), RecordingTarget()
        async with distributing(slow, queue=10) as (distributor, source):
            distributor.add_target(fast)
            source.put(0)
            await until(lambda: distributor.stats["t0"].in_progress)
            for number in range(1, 100):
                source.put(number)
            await until(lambda: len(fast.outcomes) == 100)
            stats = distributor.stats["t0"]
            assert (stats.received, stats.queued, stats.in_progress, stats.dropped) == (100, 10, 1, 89)
            slow.free.set()

    run(main())


@pytest.mark.parametrize("error", [ValueError, SystemExit, asyncio.CancelledError, TimeoutError])
def test_a_coroutine_that_raises_takes_the_next_message(error: type[BaseException]) -> None:
    class Raising(RecordingTarget):
        async def on_message(self, message: Any) -> Any:
            if message == 0:
                raise error
            return await super().on_message(message)

    async def main() -> None:
        target = Raising()
        async with distributing(target) as (distributor, source):
            receipt = asyncio.create_task(distributor.deliver("t0", 0))
            source.put(1)
            await until(lambda: target.outcomes)
            with pytest.raises((ValueError, DistributorException, TimeoutError)):
                await receipt
        stats = distributor.stats["t0"]
        assert target.outcomes == [("complete", 1)]
        assert (stats.received, stats.completed) == (2, 1)
        assert stats.failed + stats.cancelled + stats.timed_out == 1

    run(main())


def test_what_a_coroutine_has_not_taken_when_the_target_closes_is_cancelled() -> None:
    class Slow(RecordingTarget):
        async def on_message(self, message: Any) -> Any:
            await asyncio.Event().wait()

    async def main() -> None:
        target = Slow()
        async with distributing(target) as (distributor, source):
            for number in range(4):
                source.put(number)
            await until(lambda: distributor.stats["t0"].queued == 3)
        stats = distributor.stats["t0"]
        assert target.outcomes == [("cancel", None)] * 3
        assert (stats.received, stats.cancelled, stats.queued, stats.in_progress) == (4, 4, 0, 0)

    run(main())


def test_with_wait_a_coroutine_that_does_not_await_the_base_method_fills_no_queue_beyond_its_limit() -> None:
    gate = Gate()

    async def main() -> None:
        target = Defined()
        target.process = gate  # type: ignore[method-assign]
        async with distributing(target, queue=5, full="wait", workers=1) as (distributor, source):
            for number in range(50):
                source.put(number)
            await until(lambda: distributor.stats["t0"].received >= 11)
            assert pool_of(target).stats.queued <= 5
            gate.open()
            await until(lambda: distributor.stats["t0"].completed == 50)

    run(main())


@pytest.mark.parametrize("exchanged", [True, False])
def test_a_source_that_waits_for_a_coroutine_goes_on_when_the_target_goes(exchanged: bool) -> None:  # noqa: FBT001
    gate = Gate()

    async def main() -> None:
        hangs, other = Defined(), RecordingTarget()
        hangs.process = gate  # type: ignore[method-assign]
        async with distributing(hangs, queue=2, full="wait", workers=1) as (distributor, source):
            distributor.add_target(other)
            for number in range(20):
                source.put(number)
            await until(lambda: distributor.stats["t0"].received == 5 and gate.entered)
            if exchanged:
                await distributor.exchange_target("t0", RecordingTarget(), drain_ms=50)
            else:
                await distributor.remove_target("t0", drain_ms=50)
            await until(lambda: len(other.outcomes) == 20)
        gate.open()

    run(main())


def test_what_waits_goes_to_the_target_that_takes_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sender, "backoff_s", lambda *_: 60.0)
    closing = threading.Event()

    class Old(RecordingTarget):
        def close(self, code: int = -1, reason: str = "") -> None:
            closing.wait(seconds(5))
            super().close(code, reason)

    def fails(message: int) -> None:
        raise OSError("unreachable")

    async def main() -> None:
        old, new = Old(fails), RecordingTarget()
        async with distributing(old, retries=-1, workers=1) as (distributor, source):
            for number in range(3):
                source.put(number)
            await until(lambda: distributor.stats["t0"].retried == 1 and distributor.stats["t0"].queued == 2)
            exchange = asyncio.create_task(distributor.exchange_target("t0", new))
            await until(lambda: distributor._lanes["t0"]._held is not None)
            source.put(3)
            await until(lambda: distributor.stats["t0"].received == 4)
            reliable = asyncio.create_task(distributor._lanes["t0"].deliver_and_wait(4))
            await asyncio.sleep(0)
            closing.set()
            await exchange
            await reliable
            assert new.wait_for(5) == [("complete", number) for number in range(5)]
            stats = distributor.stats["t0"]
            assert (stats.received, stats.completed, stats.retried, stats.failed) == (5, 5, 1, 0)
            assert not old.outcomes

    run(main())


@pytest.mark.parametrize("what", ["cancel", "exchange", "remove", "shutdown"])
def test_an_exchange_is_finished_whatever_comes_meanwhile(what: str) -> None:
    gate = Gate()

    class Counting(RecordingTarget):
        opened = 0

        def open(self) -> None:
            self.opened += 1

        def close(self, code: int = -1, reason: str = "") -> None:
            self.opened -= 1
            super().close(code, reason)

    async def main() -> None:
        old, new, newest = Counting(gate), Counting(), Counting()
        async with distributing(old, workers=1) as (distributor, source):
            for number in range(3):
                source.put(number)
            await until(lambda: gate.entered and distributor.stats["t0"].queued == 2)
            exchange = asyncio.create_task(distributor.exchange_target("t0", new))
            await until(lambda: distributor._lanes["t0"]._held is not None)
            delivered = asyncio.create_task(distributor.deliver("t0", 3))
            await until(lambda: distributor.stats["t0"].received == 4)
            asyncio.get_running_loop().call_later(0.05, gate.open)
            match what:
                case "cancel":
                    exchange.cancel()
                case "exchange":
                    await distributor.exchange_target("t0", newest)
                case "remove":
                    await distributor.remove_target("t0")
                case "shutdown":
                    await distributor.shutdown()
            await delivered
            await asyncio.wait([exchange])
            assert [*old.outcomes, *new.outcomes, *newest.outcomes] == [("complete", one) for one in range(4)]
        assert (old.opened, new.opened, newest.opened) == (0, 0, 0)

    run(main())


@pytest.mark.parametrize("what", ["exchange", "remove", "shutdown"])
def test_who_waits_for_a_message_with_which_a_thread_hangs_is_told_when_the_target_goes(what: str) -> None:
    gate = Gate()

    async def main() -> None:
        async with distributing(RecordingTarget(gate), workers=1) as (distributor, _):
            delivered = asyncio.create_task(distributor.deliver("t0", "a"))
            await until(lambda: gate.entered)
            match what:
                case "exchange":
                    await distributor.exchange_target("t0", RecordingTarget(), drain_ms=50)
                case "remove":
                    await distributor.remove_target("t0", drain_ms=50)
                case "shutdown":
                    await distributor.shutdown(50)
            with pytest.raises(DistributorException, match="did not send the message"):
                await delivered
        gate.open()

    run(main())


def test_a_target_that_still_opens_is_exchanged_when_it_is_open() -> None:
    opening = Gate()

    class Slow(RecordingTarget):
        def open(self) -> None:
            opening(None)

    async def main() -> None:
        distributor, slow, new = Distributor(), Slow(), RecordingTarget()
        distributor.add_target(slow, name="t")
        starting = asyncio.create_task(distributor.start())
        await until(lambda: opening.entered)
        exchange = asyncio.create_task(distributor.exchange_target("t", new))
        delivered = asyncio.create_task(distributor.deliver("t", "a"))
        await asyncio.sleep(0)
        opening.open()
        await starting
        await exchange
        await delivered
        assert [*slow.outcomes, *new.outcomes] == [("complete", "a")]
        await distributor.shutdown()

    run(main())


@pytest.mark.parametrize(
    ("full", "kept"), [("drop-oldest", [3, 4]), ("drop-newest", [0, 1]), ("wait", [0, 1, 2, 3, 4])]
)
def test_what_comes_while_targets_are_exchanged_is_held_as_a_full_queue_would(
    full: Any, kept: list[int]
) -> None:
    closing = threading.Event()

    class Old(RecordingTarget):
        def close(self, code: int = -1, reason: str = "") -> None:
            closing.wait(seconds(5))

    async def main() -> None:
        new = RecordingTarget()
        async with distributing(Old(), queue=2, full=full, workers=1) as (distributor, source):
            exchange = asyncio.create_task(distributor.exchange_target("t0", new))
            await until(lambda: distributor._lanes["t0"]._held is not None)
            for number in range(5):
                source.put(number)
            held = 5 if full != "wait" else 2
            await until(lambda: distributor.stats["t0"].received == held)
            closing.set()
            await exchange
            assert await asyncio.to_thread(new.wait_for, len(kept)) == [("complete", one) for one in kept]
            stats = distributor.stats["t0"]
            assert (stats.received, stats.dropped) == (5, 5 - len(kept))

    run(main())


def test_an_open_that_hangs_does_not_hold_up_the_start(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(lane, "_OPEN_S", 0.1)
    caplog.set_level(logging.WARNING)
    end = threading.Event()

    class Hangs(RecordingTarget):
        def open(self) -> None:
            end.wait(seconds(10))

    async def main() -> None:
        distributor, source = Distributor(), FedSource()
        distributor.add_source(source)
        distributor.add_target(Hangs(), name="hangs")
        await distributor.start()
        await distributor.shutdown(100)
        end.set()

    run(main())
    assert "target hangs: open() takes too long and is left behind" in caplog.text

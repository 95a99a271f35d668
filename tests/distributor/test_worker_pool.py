"""The queue and threads of a target: one outcome for each message, counters, retries, timeouts and stops."""

import asyncio
import concurrent.futures
import logging
import threading
import time
from collections import deque
from typing import Any

import pytest

from colugo.distributor import IFormatter, TargetOptions, sender, worker_pool
from colugo.distributor.receipt import CURRENT_RECEIPT, Receipt
from colugo.distributor.threaded_target import pool_of
from colugo.errors import ClosedError, DistributorException
from tests.support.essentials import Program, run, seconds, wait_until
from tests.support.leftovers import nothing_left
from tests.support.recording_target import Gate, RecordingTarget

ERROR = ValueError("no")


@pytest.mark.parametrize(
    ("message", "outcome", "counter"),
    [
        ("hello", ("complete", "hello"), "completed"),
        (TimeoutError("slow"), ("timeout", None), "timed_out"),
        (concurrent.futures.CancelledError(), ("cancel", None), "cancelled"),
        (asyncio.CancelledError(), ("cancel", None), "cancelled"),
        (ERROR, ("error", ERROR), "failed"),
    ],
)
def test_each_message_has_exactly_one_outcome(message: Any, outcome: Any, counter: str) -> None:
    with nothing_left():
        target = RecordingTarget()
        target.on_message(message)
        target.on_message("next")
        target.close()
        assert target.outcomes == [outcome, ("complete", "next")]
        assert getattr(target.stats, counter) == (2 if counter == "completed" else 1)
        assert target.stats.received == 2


def test_a_thread_survives_a_system_exit() -> None:
    target = RecordingTarget()
    target.on_message(SystemExit(3))
    target.on_message("next")
    target.close()
    assert [name for name, _ in target.outcomes] == ["error", "complete"]


def test_an_error_of_the_formatter_is_an_outcome() -> None:
    class Broken(IFormatter):
        def format(self, message: Any) -> str:
            raise ERROR

    target = RecordingTarget()
    target.formatter = Broken()
    target.on_message("a")
    target.formatter = None
    target.on_message("b")
    target.close()
    assert target.outcomes == [("error", ERROR), ("complete", "b")]
    assert (target.stats.received, target.stats.failed, target.stats.completed) == (2, 1, 1)


def test_after_timeout_ms_the_late_result_is_ignored_and_counted() -> None:
    gate = Gate()

    def waits_first(message: str) -> str:
        return gate(message) if message == "slow" else message

    with nothing_left():
        target = RecordingTarget(waits_first, TargetOptions(workers=1, timeout_ms=50))
        target.on_message("slow")
        target.on_message("next")  # another thread takes the place of the one that hangs
        assert target.wait_for(2) == [("timeout", None), ("complete", "next")]
        assert (target.stats.timed_out, target.stats.in_progress, target.stats.late) == (1, 0, 0)
        gate.open()
        assert wait_until(lambda: target.stats.late == 1)
        target.close()
        assert len(target.outcomes) == 2


def test_at_most_ten_threads_hang_and_work_continues_when_one_returns(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(worker_pool, "_MOST_HANGING", 3)
    gate = Gate()

    def hangs(message: int) -> int:
        return gate(message) if message < 5 else message

    target = RecordingTarget(hangs, TargetOptions(workers=1, timeout_ms=20))
    for message in range(10):
        target.on_message(message)
    assert wait_until(lambda: target.stats.timed_out == 3)
    assert wait_until(lambda: "3 threads hang" in caplog.text)
    assert target.stats.queued == 7
    gate.open()
    assert target.wait_for(10)[-5:] == [("complete", message) for message in range(5, 10)]
    target.close()
    assert target.stats.received == target.stats.completed + target.stats.timed_out == 10


def test_what_is_queued_when_the_target_closes_is_cancelled_and_a_hanging_thread_left_behind() -> None:
    gate = Gate()
    target = RecordingTarget(gate)
    for message in range(4):
        target.on_message(message)
    gate.wait_for(1)
    stats = pool_of(target).close(0.05)
    assert target.outcomes == [("cancel", None)] * 3
    assert (stats.cancelled, stats.in_progress, stats.queued) == (3, 1, 0)
    with pytest.raises(ClosedError, match="the target 't' is closed"):
        target.on_message("late")
    gate.open()
    assert target.wait_for(4)[3] == ("complete", 0)


def test_a_message_that_a_thread_takes_while_the_target_closes_has_one_outcome() -> None:
    class Raced(deque[Any]):
        """A thread goes on before it is cleared."""

        def clear(self) -> None:
            gate.open()
            assert wait_until(lambda: len(target.outcomes) > 1)
            super().clear()

    gate = Gate()
    target = RecordingTarget(gate)
    pool = pool_of(target)
    pool.queue.items = pool._pending = Raced()
    for message in range(4):
        target.on_message(message)
    gate.wait_for(1)
    pool.close(0)
    gate.open()
    assert wait_until(lambda: target.stats.in_progress == 0)
    assert target.stats.completed + target.stats.cancelled == len(target.wait_for(4)) == 4


@pytest.mark.parametrize(
    ("full", "kept"),
    [("drop-oldest", [0, 8, 9, 10]), ("drop-newest", [0, 1, 2, 3]), ("wait", list(range(11)))],
)
def test_a_full_queue_is_counted_to_the_message(
    full: Any, kept: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    gate = Gate()
    target = RecordingTarget(gate, TargetOptions(workers=1, queue=3, full=full))
    target.on_message(0)
    gate.wait_for(1)
    for message in range(1, 11):
        target.on_message(message)
    dropped = 11 - len(kept)
    assert (target.stats.received, target.stats.dropped) == (11, dropped)
    began = [line for line in caplog.messages if "is full" in line]
    assert began == (["target t: the queue of 3 is full, messages are dropped"] if dropped else [])
    gate.open()
    target.close()
    assert [message for _, message in target.outcomes] == kept
    assert (f"target t: {dropped} messages were dropped" in caplog.text) == bool(dropped)


def test_a_coroutine_waits_for_room() -> None:
    async def main() -> None:
        gate = Gate()
        target = RecordingTarget(gate, TargetOptions(workers=1, queue=2, full="wait"))
        await target.on_message(0)
        gate.wait_for(1)
        await target.on_message(1)
        waiting = asyncio.ensure_future(target.on_message(2))
        done, _ = await asyncio.wait([waiting], timeout=0.05)
        assert not done
        gate.open()
        await waiting
        target.close()
        assert [message for _, message in target.outcomes] == [0, 1, 2]

    run(main())


def test_a_message_is_tried_again_until_it_leaves() -> None:
    tries: list[str] = []

    def fails_twice(message: str) -> str:
        tries.append(message)
        if len(tries) < 3:
            raise OSError("unreachable")
        return message

    target = RecordingTarget(fails_twice, TargetOptions(workers=1, retries=5, retry_ms=1))
    target.on_message("a")
    target.on_message("b")
    assert target.wait_for(2) == [("complete", "a"), ("complete", "b")]
    target.close()
    assert tries == ["a", "a", "a", "b"]
    assert (target.stats.retried, target.stats.failed) == (2, 0)


def test_retries_are_limited_and_some_errors_are_not_tried_again() -> None:
    class Target(RecordingTarget):
        retry_on = (OSError,)

    target = Target(None, TargetOptions(workers=1, retries=2, retry_ms=0))
    target.on_message(OSError("a"))
    target.on_message(ValueError("b"))
    target.on_message(concurrent.futures.CancelledError())
    assert [name for name, _ in target.wait_for(3)] == ["error", "error", "cancel"]
    target.close()
    assert target.stats.retried == 2


def test_at_the_close_a_message_that_waits_for_a_retry_is_tried_once_more_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sender, "backoff_s", lambda *_: 60.0)
    tries: list[str] = []

    def fails(message: str) -> None:
        tries.append(message)
        raise ERROR

    target = RecordingTarget(fails, TargetOptions(workers=1, retries=-1))
    target.on_message("a")
    target.on_message("b")
    assert wait_until(lambda: target.stats.retried)
    began = time.monotonic()
    target.close()
    assert time.monotonic() - began < seconds(2)
    assert tries == ["a", "a", "b"]
    assert target.outcomes == [("error", ERROR)] * 2


def test_what_waits_for_a_retry_or_in_the_queue_is_handed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sender, "backoff_s", lambda *_: 60.0)

    def fails(message: str) -> None:
        raise ERROR

    target = RecordingTarget(fails, TargetOptions(workers=1, retries=-1))
    target.on_message("a")
    target.on_message("b")
    assert wait_until(lambda: target.stats.retried)
    assert [message for message, _ in pool_of(target).hand_over(seconds(5))] == ["a", "b"]
    assert not target.outcomes
    assert (target.stats.received, target.stats.in_progress) == (0, 0)


def test_a_callback_that_raises_changes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    class Target(RecordingTarget):
        def on_complete(self, result: Any) -> None:
            super().on_complete(result)
            raise ERROR

    target = Target()
    target.on_message("a")
    target.on_message("b")
    target.close()
    assert target.outcomes == [("complete", "a"), ("complete", "b")]
    assert "target t: on_complete raised" in caplog.text


def test_the_initializer_is_called_on_each_thread() -> None:
    gate = Gate()
    threads: list[threading.Thread] = []
    target = RecordingTarget(gate, TargetOptions(workers=3))
    target._pool_initializer = lambda: threads.append(threading.current_thread())
    for message in range(10):
        target.on_message(message)
    gate.wait_for(3)
    gate.open()
    target.close()
    assert [thread.name for thread in threads] == [f"target t worker {number}" for number in (1, 2, 3)]
    assert all(thread.daemon for thread in threads)
    assert len(target.outcomes) == 10


def test_many_threads_may_send_the_first_message() -> None:
    target = RecordingTarget()
    barrier = threading.Barrier(8)

    def send() -> None:
        barrier.wait(seconds(5))
        for message in range(500):
            target.on_message(message)

    threads = [threading.Thread(target=send) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(seconds(10))
    target.close()
    assert len(target.outcomes) == target.stats.completed == 4000


def test_a_logging_handler_may_send_what_a_full_queue_logs() -> None:
    gate = Gate()
    target = RecordingTarget(gate, TargetOptions(workers=1, queue=1))

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            target.on_message(record.getMessage())

    handler = Handler()
    logging.getLogger("colugo.distributor").addHandler(handler)
    try:
        target.on_message(0)
        gate.wait_for(1)
        for message in (1, 2):
            target.on_message(message)
    finally:
        logging.getLogger("colugo.distributor").removeHandler(handler)
    gate.open()
    target.close()
    assert target.stats.received == target.stats.completed + target.stats.dropped == 4


@pytest.mark.parametrize(
    ("message", "error"),
    [
        ("a", None),
        (ERROR, ValueError),
        (TimeoutError("slow"), TimeoutError),
        (concurrent.futures.CancelledError(), DistributorException),
        (StopIteration(), DistributorException),
    ],
)
def test_a_receipt_tells_the_outcome(message: Any, error: type[Exception] | None) -> None:
    async def main() -> None:
        target = RecordingTarget()
        receipt = Receipt()
        token = CURRENT_RECEIPT.set(receipt)
        target.on_message(message)
        CURRENT_RECEIPT.reset(token)
        if error is None:
            await receipt.outcome()
        else:
            with pytest.raises(error):
                await receipt.outcome()
        target.close()

    run(main())


HANGS = """
import threading
from colugo.distributor import TargetOptions, ThreadedDistributionTarget

class Hangs(ThreadedDistributionTarget):
    drain_ms = 50

    def process(self, message):
        print("hangs", flush=True)
        threading.Event().wait()

target = Hangs()
target.on_message("a")
target.close()
print("closed")
"""


def test_a_thread_that_hangs_for_ever_does_not_hold_up_the_end_of_the_process(realm: str) -> None:
    with Program(["-c", HANGS], realm=realm) as program:
        program.expect("closed")
        assert program.wait(within=5) == 0

"""Work tied to the life of a node: `spawn` and `submit`."""

import asyncio
import gc
import logging
import threading
import warnings
from collections.abc import Iterator

import pytest

from colugo import ClosedError, ConfigurationError, Node
from tests.support.essentials import run, seconds, until


class Work:
    """A coroutine that runs until it is cancelled, and what is seen of it."""

    def __init__(self, node: Node, *, cleanup_s: float = 0.0) -> None:
        self._node = node
        self._cleanup_s = cleanup_s
        self.begun = threading.Event()
        self.thread: threading.Thread | None = None
        self.task_name = ""
        self.ended = False
        self.closed_at_end: bool | None = None

    async def forever(self) -> None:
        self.thread = threading.current_thread()
        task = asyncio.current_task()
        self.task_name = task.get_name() if task else ""
        self.begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(self._cleanup_s)
            self.closed_at_end = self._node.closed
            self.ended = True


@pytest.fixture(autouse=True)
def _no_coroutine_is_forgotten() -> Iterator[None]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
        gc.collect()
    assert [str(one.message) for one in caught if "never awaited" in str(one.message)] == []


def test_work_begins_when_the_node_opens_and_is_cancelled_and_awaited_when_it_closes() -> None:
    node = Node("worker")
    work = Work(node, cleanup_s=0.05)
    node.spawn(work.forever(), name="forever")
    assert not work.begun.is_set()

    async def main() -> None:
        async with node:
            await until(work.begun.is_set)
            assert not work.ended
        assert work.ended

    run(main())
    assert work.task_name == "colugo worker forever"


def test_work_ends_before_the_sockets_are_closed() -> None:
    async def main() -> None:
        async with Node("worker") as node:
            publisher = node.add_publisher("t")

            async def last_words() -> None:
                try:
                    await asyncio.Event().wait()
                finally:
                    publisher.send("bye")

            work = Work(node, cleanup_s=0.01)
            node.spawn(work.forever(), name="forever")
            node.spawn(last_words(), name="last words")
            await until(work.begun.is_set)
        assert work.closed_at_end is False
        assert publisher.stats.sent == 1

    run(main())


def test_work_begins_at_once_on_a_node_that_runs() -> None:
    async def main() -> None:
        async with Node("worker") as node:
            work = Work(node)
            node.spawn(work.forever(), name="forever")
            await asyncio.sleep(0)
            assert work.begun.is_set()

    run(main())


def test_work_may_be_given_by_any_thread_and_runs_on_the_nodes() -> None:
    node = Node("worker")
    early, late = Work(node), Work(node)
    threading.Thread(target=lambda: node.spawn(early.forever(), name="early")).start()
    with node.running():
        node.spawn(late.forever(), name="late")
        assert early.begun.wait(seconds(10))
        assert late.begun.wait(seconds(10))
        assert early.thread is late.thread is not threading.current_thread()
    assert early.ended
    assert late.ended


def test_what_work_raises_is_logged_and_counted_and_the_node_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def fail() -> None:
        raise KeyError("broken")

    async def main() -> None:
        async with Node("worker") as node:
            node.spawn(fail(), name="fragile")
            await until(lambda: node.callback_errors == 1)
            called = asyncio.Event()
            node.add_delayed_callback(0, called.set)
            await called.wait()
        assert node.callback_errors == 1

    run(main())
    (record,) = [one for one in caplog.records if one.levelno == logging.ERROR]
    assert (record.name, record.getMessage()) == ("worker", "colugo worker fragile failed")
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], KeyError)


def test_work_that_ends_by_itself_or_is_cancelled_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with Node("worker") as node:
            done = asyncio.Event()

            async def short() -> None:
                done.set()

            node.spawn(short(), name="short")
            node.spawn(Work(node).forever(), name="forever")
            await done.wait()
        assert node.callback_errors == 0

    run(main())
    assert [one for one in caplog.records if one.levelno >= logging.WARNING] == []


def test_after_the_stop_work_is_refused_and_its_coroutine_closed() -> None:
    async def main() -> None:
        async with Node("worker") as node:
            node.stop()
            with pytest.raises(ClosedError, match="'worker' has been stopped"):
                node.spawn(Work(node).forever(), name="late")
        with pytest.raises(ClosedError):
            node.spawn(Work(node).forever(), name="later")

    run(main())


def test_work_of_a_node_that_never_runs_is_closed_with_it() -> None:
    node = Node("worker")
    coroutine = Work(node).forever()
    node.spawn(coroutine, name="never")
    node.stop()
    with pytest.raises(RuntimeError, match="cannot reuse already awaited coroutine"):
        coroutine.send(None)


def test_work_of_a_node_that_is_stopped_as_it_opens_is_ended() -> None:
    async def main() -> None:
        node = Node("worker")
        work = Work(node)
        node.spawn(work.forever(), name="short-lived")
        node.add_delayed_callback(0, node.stop)
        async with node:
            await node.wait_closed()
        assert work.ended is work.begun.is_set()

    run(main())


def test_a_function_is_no_work() -> None:
    node = Node("worker")
    with pytest.raises(ConfigurationError, match=r"spawn\(\) takes a coroutine, such as work\(\), not"):
        node.spawn(Work(node).forever, name="not called")  # type: ignore[arg-type]
    node.stop()


def test_submitted_calls_are_made_in_order_on_the_nodes_thread() -> None:
    node = Node("worker")
    assert node.on_own_thread()
    with node.running():
        assert (node.is_running, node.closed, node.on_own_thread()) == (True, False, False)
        calls: list[tuple[int, bool]] = []
        done = threading.Event()
        for number in range(3):
            node.submit(lambda number: calls.append((number, node.on_own_thread())), number)
        node.submit(done.set)
        assert done.wait(seconds(10))
        assert calls == [(0, True), (1, True), (2, True)]
    assert (node.is_running, node.closed) == (False, True)
    with pytest.raises(ClosedError):
        node.submit(done.set)


def test_work_that_cannot_be_closed_does_not_keep_the_rest_from_closing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def stubborn() -> None:
        try:
            await asyncio.sleep(0)
        finally:
            raise ValueError("stubborn")

    node = Node("worker")
    begun = stubborn()
    begun.send(None)
    other = Work(node).forever()
    node.spawn(begun, name="stubborn")
    node.spawn(other, name="other")
    node.stop()
    assert node.closed
    assert "stubborn failed to close" in caplog.text
    with pytest.raises(RuntimeError, match="cannot reuse already awaited coroutine"):
        other.send(None)

"""The node's life: three styles, stopping from anywhere, and nothing left behind."""

import asyncio
import logging
import os
import signal
import threading
from itertools import pairwise
from typing import Any

import pytest
import zmq

from colugo import ClosedError, ConfigurationError, DuplicateTopicError, LifecycleError, Node
from colugo.net.discovery.memory_directory import MemoryDirectory, MemoryNetwork
from colugo.net.loop_runner import ThreadRunner
from tests.support.essentials import Collector, Program, run, seconds, until
from tests.support.leftovers import nothing_left, open_files


class Sensor(Node):
    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.publisher = self.add_publisher("lab.temperature")
        self.repeater = self.add_repeater(10, self.tick)

    def tick(self) -> None:
        self.publisher.send("21.5")


def thread_names() -> list[str]:
    return sorted(thread.name for thread in threading.enumerate())


def test_a_subclass_starts_blocks_and_returns_when_it_stops_itself() -> None:
    class Short(Sensor):
        def tick(self) -> None:
            super().tick()
            if self.publisher.stats.sent == 3:
                self.stop()

    node = Short("short")
    node.start()
    assert node.publisher.stats.sent == 3


def test_the_loop_is_there_before_the_start_and_runs_what_was_given_to_it() -> None:
    node = Node("early")
    called: list[bool] = []
    node.loop.call_later(0.01, called.append, True)
    node.loop.call_later(0.01, node.stop)
    node.start()
    assert called == [True]


def test_after_the_end_there_is_no_loop_any_more() -> None:
    node = Node("late")
    node.add_delayed_callback(0, node.stop)
    node.start()
    with pytest.raises(ClosedError):
        _ = node.loop


def test_a_delayed_callback_of_the_constructor_runs_after_the_start() -> None:
    node = Node("delayed")
    node.add_delayed_callback(10, node.stop)
    node.start()


def test_a_cancelled_delayed_callback_does_not_run() -> None:
    node = Node("delayed")
    called: list[bool] = []
    node.add_delayed_callback(1, lambda: called.append(True)).cancel()
    node.add_delayed_callback(20, node.stop)
    node.start()
    assert called == []


@pytest.mark.mdns
def test_on_a_thread_it_is_used_from_the_outside() -> None:
    with Node("a").running() as a, Node("b").running() as b:
        publisher = a.add_publisher("t")
        subscriber = b.add_subscriber("t")
        a.run(publisher.ready(), timeout_ms=5000)
        publisher.send("over threads")
        assert b.run(subscriber.__anext__(), timeout_ms=5000) == "over threads"
    assert [name for name in thread_names() if name.startswith("colugo")] == []


def test_run_refuses_to_wait_for_its_own_thread_and_for_a_node_that_does_not_run() -> None:
    async def main() -> None:
        async with Node("a") as node:
            with pytest.raises(LifecycleError, match="await the coroutine"):
                node.run(asyncio.sleep(0))

    run(main())
    node = Node("b")
    with pytest.raises(ClosedError, match="does not run"):
        node.run(asyncio.sleep(0))
    node.stop()


def test_stop_from_another_thread_ends_start() -> None:
    node = Sensor("s")
    started = threading.Event()
    node.add_delayed_callback(0, started.set)

    def stop() -> None:
        started.wait(seconds(5))
        node.stop()
        node.stop()

    stopper = threading.Thread(target=stop)
    stopper.start()
    node.start()
    stopper.join()


def test_stop_from_a_signal_handler_of_the_program_ends_start() -> None:
    node = Sensor("s")
    before = signal.signal(signal.SIGUSR1, lambda *_: node.stop())
    try:
        node.add_delayed_callback(10, lambda: os.kill(os.getpid(), signal.SIGUSR1))
        node.start()
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_start_gives_the_signal_handlers_back() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    node = Node("s")
    node.add_delayed_callback(0, node.stop)
    node.start()
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_stop_before_the_start_makes_the_start_an_error() -> None:
    node = Sensor("s")
    node.stop()
    node.stop()
    with pytest.raises(ClosedError, match="has been stopped"):
        node.start()
    with pytest.raises(ClosedError):
        node.publisher.send("x")


def test_stop_in_a_callback_twice_and_aclose_in_a_coroutine_callback() -> None:
    async def main() -> None:
        node = Node("a")

        async def close() -> None:
            node.stop()
            await node.aclose()

        async with node:
            node.add_delayed_callback(0, close)
            await node.wait_closed()
        await node.aclose()

    run(main())


def test_a_callback_that_runs_during_the_stop_may_still_add_things() -> None:
    async def main() -> None:
        async with Node("a") as node:
            added = asyncio.Event()

            def late() -> None:
                node.add_delayed_callback(1000, print)
                node.add_publisher("late")
                added.set()

            node.stop()
            asyncio.get_running_loop().call_soon(late)
            await added.wait()
            await node.wait_closed()
            with pytest.raises(ClosedError):
                node.add_publisher("too.late")

    run(main())


@pytest.mark.mdns
def test_a_node_that_is_interrupted_while_it_starts_on_a_thread_is_stopped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    node = Node("a")

    def interrupted(self: threading.Event, timeout: float | None = None) -> bool:
        monkeypatch.undo()
        raise KeyboardInterrupt

    runner = node.running()
    assert isinstance(runner, ThreadRunner)
    monkeypatch.setattr(runner._begun, "wait", interrupted.__get__(runner._begun))
    with pytest.raises(KeyboardInterrupt), runner:
        pass
    assert [name for name in thread_names() if name.startswith("colugo")] == []


def test_a_subscriber_whose_publisher_has_just_left_stops_without_a_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A lingering socket would keep the context from ending: the sockets that only read do not linger."""

    async def main() -> None:
        async with Node("b") as b:
            subscriber = b.add_subscriber("t")
            async with Node("a") as a:
                a.add_publisher("t")
                await subscriber.ready()
            connector = subscriber._receiver.links._framed
            assert connector is not None
            assert connector.socket.get(zmq.LINGER) == 0

    run(main())


def test_starting_twice_or_inside_a_loop_is_an_error_that_says_what_to_do() -> None:
    async def main() -> None:
        node = Node("a")
        with pytest.raises(LifecycleError, match="async with"):
            node.start()
        async with node:
            with pytest.raises(LifecycleError, match="started already"):
                await node.__aenter__()

    run(main())


def test_an_exception_in_the_body_closes_the_node_and_travels_on() -> None:
    async def main() -> None:
        node = Node("a")
        with pytest.raises(KeyError):
            async with node:
                raise KeyError
        with pytest.raises(ClosedError):
            node.add_publisher("t")

    run(main())


def test_a_failing_directory_fails_the_start_in_every_style() -> None:
    class Broken(MemoryDirectory):
        async def open(self, listener: Any) -> None:
            raise RuntimeError("no directory today")

    def node() -> Node:
        return Node("a", directory=Broken(MemoryNetwork()))

    async def main() -> None:
        async with node():
            pass

    with pytest.raises(RuntimeError, match="no directory today"):
        run(main())
    with pytest.raises(RuntimeError, match="no directory today"):
        node().start()
    with pytest.raises(RuntimeError, match="no directory today"), node().running():
        pass


PROGRAM = """
from colugo import Node
class Busy(Node):
    def __init__(self):
        super().__init__("busy")
        self.publisher = self.add_publisher("t")
        self.add_subscriber("t", lambda message: None, lambda: print("connected", flush=True))
        self.add_reply_server("r", lambda message: message)
        self.add_request_client("r")
        self.add_repeater(1, lambda: self.publisher.send("x" * 1000))
Busy().start()
print("start returned", flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_started_node_within_a_second_with_status_0(
    number: signal.Signals, realm: str
) -> None:
    with Program(["-c", PROGRAM], realm=realm) as program:
        program.expect("connected")
        program.signal(number)
        assert program.wait(within=1.0) == 0
        assert program.lines[-1] == "start returned"
        assert not any("Traceback" in line or "rror" in line for line in program.lines)


async def cycle() -> None:
    async with Node("a") as a, Node("b") as b:
        publisher = a.add_publisher("t")
        b.add_subscriber("t")
        a.add_reply_server("r", lambda message: message)
        client = b.add_request_client("r")
        b.add_repeater(1000, print)
        await publisher.ready()
        publisher.send("x")
        assert await client.request("x") == "x"
    assert [task.get_name() for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []


@pytest.mark.slow
def test_many_starts_and_stops_on_one_loop_leave_nothing() -> None:
    async def main() -> None:
        await cycle()
        with nothing_left():
            for _ in range(100):
                await cycle()

    run(main(), within=60)


@pytest.mark.slow
def test_many_starts_and_stops_on_threads_leave_nothing() -> None:
    def once() -> None:
        with Node("a").running() as a, Node("b").running() as b:
            publisher = a.add_publisher("t")
            b.add_subscriber("t")
            a.run(publisher.ready(), timeout_ms=5000)
            publisher.send("x")

    once()
    with nothing_left():
        for _ in range(50):
            once()


def test_many_blocking_starts_and_stops_leave_nothing() -> None:
    def once() -> None:
        node = Sensor("s")
        node.add_delayed_callback(5, node.stop)
        node.start()

    once()
    with nothing_left():
        for _ in range(50):
            once()


def test_parts_closed_by_themselves_leave_nothing_and_free_the_topic() -> None:
    async def main() -> None:
        async with Node("a") as node:

            async def once() -> None:
                publisher = node.add_publisher("t")
                subscriber = node.add_subscriber("t")
                await publisher.ready()
                await subscriber.ready()
                subscriber.close()
                await until(lambda: publisher.subscribers == 0)
                publisher.close()
                publisher.close()
                await until(lambda: not node.advertisements)

            await once()
            before = open_files()
            for _ in range(20):
                await once()
            # ZeroMQ's reaper closes the descriptors of the last sockets a moment later
            await until(lambda: open_files() <= before)

    run(main())


def test_a_node_of_a_closed_topic_refuses_to_send() -> None:
    async def main() -> None:
        async with Node("a") as node:
            publisher = node.add_publisher("t")
            publisher.close()
            with pytest.raises(ClosedError, match="Publisher is closed"):
                publisher.send("x")

    run(main())


def test_two_publishers_of_one_topic_in_one_node_are_refused() -> None:
    node = Node("a")
    node.add_publisher("t")
    node.add_reply_server("t", print)
    with pytest.raises(DuplicateTopicError, match="has a publisher of t already"):
        node.add_publisher("t")
    with pytest.raises(DuplicateTopicError, match="has a reply server of t already"):
        node.add_reply_server("t", print)
    node.stop()


@pytest.mark.parametrize("name", ["", "x" * 64, "tab\there", None, 7])
def test_a_name_that_is_none_is_refused(name: Any) -> None:
    with pytest.raises(ConfigurationError, match="a node name has 1 to 63 bytes"):
        Node(name)


def test_every_add_after_the_stop_says_that_the_node_has_stopped() -> None:
    node = Node("a")
    node.stop()
    for add in (
        lambda: node.add_publisher("t"),
        lambda: node.add_subscriber("t"),
        lambda: node.add_reply_server("t", print),
        lambda: node.add_request_client("t"),
        lambda: node.add_repeater(10, print),
        lambda: node.add_delayed_callback(10, print),
    ):
        with pytest.raises(ClosedError, match="has been stopped"):
            add()


@pytest.mark.mdns
def test_start_says_scope_and_realm_and_who_may_come_in(caplog: pytest.LogCaptureFixture, realm: str) -> None:
    async def main() -> None:
        async with Node("talker"):
            pass

    with caplog.at_level(logging.INFO):
        run(main())
    (line,) = [record.getMessage() for record in caplog.records if record.name == "talker"]
    assert line == f"scope host (127.0.0.1), realm {realm}, open to this host"


def test_importing_the_library_configures_no_logging(realm: str) -> None:
    script = "import logging, colugo; print('handlers', logging.getLogger().handlers)"
    with Program(["-c", script], realm=realm) as program:
        assert program.wait() == 0
        assert program.lines == ["handlers []"]


def test_a_repeater_ticks_at_a_fixed_rate_and_counts_what_it_missed() -> None:
    async def main() -> None:
        async with Node("a") as node:
            # when each began, how many had been missed by then, and when it ended
            ticks: list[tuple[float, int, float]] = []
            loop = asyncio.get_running_loop()
            enough = asyncio.Event()

            def tick() -> None:
                began = loop.time()
                while len(ticks) == 1 and loop.time() < began + 0.055:
                    pass
                ticks.append((began, repeater.missed, loop.time()))
                if len(ticks) == 5:
                    enough.set()

            earliest = loop.time()
            repeater = node.add_repeater(10, tick)
            latest = loop.time()
            await enough.wait()
            repeater.stop()
            # the callback held the loop over five more ticks: four are lost, the last is merely late
            assert repeater.missed >= 4
            # each comes at a multiple of the delay, or later; one that was missed was late by a whole delay
            for number, (began, missed, _) in enumerate(ticks, 1):
                assert began > earliest + 0.01 * (number + missed) - 0.000_001
            for number, ((_, _, ended), (_, missed, _)) in enumerate(pairwise(ticks), 2):
                assert ended < latest + 0.01 * (number + missed + 1) + 0.000_001

    run(main())


def test_a_coroutine_repeater_does_not_overlap_itself() -> None:
    async def main() -> None:
        async with Node("a") as node:
            gate = asyncio.Event()
            calls = Collector()

            async def tick() -> None:
                calls(None)
                await gate.wait()

            repeater = node.add_repeater(1, tick)
            await until(lambda: repeater.missed >= 5)
            assert len(calls.items) == 1
            gate.set()
            await calls.reach(2)

    run(main())


@pytest.mark.parametrize("delay_ms", [0, -1, True, "5", float("inf"), float("nan")])
def test_a_delay_that_is_none_is_refused(delay_ms: Any) -> None:
    node = Node("a")
    with pytest.raises(ConfigurationError, match="a delay must be a number of milliseconds"):
        node.add_repeater(delay_ms, print)
    node.stop()

"""The base of sources on the loop, and the small ones."""

import asyncio
import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from colugo import Node
from colugo.distributor import Distributor, GeneratorSource, LoopSource, TimerSource
from colugo.distributor.sources.line_splitter import LineSplitter
from colugo.errors import ConfigurationError, ConnectorNotInitialized, LifecycleError
from tests.support.essentials import Program, new_realm, run, seconds, until
from tests.support.feeding import opened


class Counting(LoopSource):
    """A source without a call of the base's constructor, which fails a number of times first."""

    def __init__(self, failures: int) -> None:
        self.failures = failures
        self.listened = 0
        self.thread = 0

    async def listen(self) -> None:
        self.listened += 1
        self.thread = threading.get_ident()
        if self.listened <= self.failures:
            raise RuntimeError(f"failure {self.listened}")
        await self.emit(self.listened)


def test_a_source_that_raises_starts_again_and_the_error_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        source = Counting(failures=3)
        async with opened(source) as messages:
            assert await messages.reach(1) == [4]
            await source.wait_ended()
            assert source.ended
            assert source.received == 1
        for n in (1, 2, 3):
            assert f"RuntimeError: failure {n}" in caplog.text

    run(main())


@pytest.mark.parametrize("error", [asyncio.CancelledError, SystemExit])
def test_a_cancelled_future_or_an_exit_does_not_end_a_source(
    error: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    class Cancelled(Counting):
        async def listen(self) -> None:
            if self.listened == 0:
                self.listened = 1
                raise error
            await super().listen()

    async def main() -> None:
        async with opened(Cancelled(failures=0)) as messages:
            assert await messages.reach(1) == [2]
        assert error.__name__ in caplog.text

    run(main())


def test_a_closed_source_has_ended_and_can_be_opened_again() -> None:
    async def main() -> None:
        source = TimerSource(1)
        for _ in range(2):
            async with opened(source) as messages:
                await messages.reach(1)
                source.open()  # changes nothing
                source.close()
                source.close()
                await source.wait_ended()
                assert source.ended

    run(main())


def test_a_source_needs_a_loop_and_a_function(caplog: pytest.LogCaptureFixture) -> None:
    source = Counting(failures=0)
    with pytest.raises(LifecycleError, match="needs a running loop"):
        source.open()
    with pytest.raises(ConnectorNotInitialized, match="set_on_message"):
        source.emit("x")

    async def main() -> None:
        with pytest.raises(LifecycleError, match="not open"):
            await source.wait_ended()

    run(main())


def test_with_a_node_the_source_runs_on_its_loop_and_ends_with_it() -> None:
    source, taken = Counting(failures=0), threading.Event()

    async def take(message: int) -> None:
        taken.set()
        await asyncio.get_running_loop().create_future()

    source.set_on_message(take)
    node = Node("n")
    source.attach(node)
    source.open()
    with node.running():
        assert taken.wait(seconds(5))
        assert source.thread != threading.get_ident()
    assert source.ended


def test_a_source_that_is_closed_before_its_node_starts_never_runs() -> None:
    source = Counting(failures=0)
    node = Node("n")
    source.attach(node)
    source.open()
    source.close()

    async def main() -> None:
        async with node:
            await source.wait_ended()

    run(main())
    assert source.listened == 0


def test_a_timer_ticks() -> None:
    async def main() -> None:
        async with opened(TimerSource(5, "now")) as messages:
            assert await messages.reach(3) == ["now"] * 3

    run(main())
    with pytest.raises(ConfigurationError, match="interval_ms"):
        TimerSource(0)


def test_a_generator_gives_all_its_messages_and_waits_for_room() -> None:
    drawn = 0

    def numbers() -> Iterator[int]:
        nonlocal drawn
        for number in range(5000):
            drawn = number
            yield number

    async def main() -> None:
        source, go = GeneratorSource(numbers()), asyncio.Event()
        taken: list[int] = []

        async def take(message: int) -> None:
            await go.wait()
            taken.append(message)

        async with opened(source):
            source.set_on_message(take)
            await until(lambda: source.received)
            assert drawn == 0
            go.set()
            await source.wait_ended()
        assert taken == list(range(5000))

    run(main())


def test_a_distributor_gets_all_messages_of_a_generator() -> None:
    async def main() -> None:
        distributor = Distributor(queue=10)
        distributor.add_source(GeneratorSource(range(100_000)), name="numbers")
        running = asyncio.create_task(distributor.run())
        await distributor.start()
        await until(lambda: distributor.received["numbers"] == 100_000)
        await distributor.shutdown()
        await running

    run(main())


STDIN = """
import asyncio
from colugo.distributor import StdinSource

async def main():
    source = StdinSource()
    async def take(message):
        print(repr(message))
    source.set_on_message(take)
    source.open()
    await source.wait_ended()
    print("ended", source.received, source.malformed)

asyncio.run(main())
"""


def test_lines_of_standard_input_are_messages_and_its_end_ends_the_source() -> None:
    with Program(["-c", STDIN], realm=new_realm(), told=True) as program:
        assert program._process.stdin is not None
        program.tell("one")
        program.expect("'one'")
        program._process.stdin.buffer.write(b"caf\xe9\nlast")  # type: ignore[attr-defined]
        program._process.stdin.close()
        program.expect("'caf\ufffd'")
        program.expect("'last'")
        program.expect("ended 3 1")
        assert program.wait() == 0


# --- lines

TEXT = st.lists(st.sampled_from([b"", b"a", b"bc", b"\r", b"d" * 9]), max_size=20)


@given(TEXT, st.integers(1, 8))
def test_the_lines_do_not_depend_on_how_the_bytes_arrive(lines: list[bytes], size: int) -> None:
    data = b"".join(line + b"\n" for line in lines) + b"rest"
    splitter = LineSplitter(limit=8)
    found = []
    for start in range(0, len(data), size):
        found += splitter.feed(data[start : start + size])
    assert found == [None if len(line) > 8 else line.removesuffix(b"\r") for line in lines]
    assert splitter.finish() == [b"rest"]
    assert splitter.finish() == []

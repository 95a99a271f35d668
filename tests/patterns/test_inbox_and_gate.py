"""The bounded queue behind iteration, and the count behind `ready()`."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tests.support.strategies  # noqa: F401 - loads hypothesis' profile
from colugo.errors import ClosedError
from colugo.patterns.gate import Gate
from colugo.patterns.pubsub.inbox import Inbox
from tests.support.essentials import run

put_or_get = st.lists(st.booleans(), max_size=60)


async def turns(count: int = 5) -> None:
    """Let every task that is ready take its steps."""
    loop = asyncio.get_running_loop()
    for _ in range(count):
        turn = loop.create_future()
        loop.call_soon(turn.set_result, None)
        await turn


# --- the inbox


@given(put_or_get, st.integers(1, 10))
def test_items_come_out_in_order_and_the_oldest_are_dropped_and_counted(puts: list[bool], limit: int) -> None:
    async def main() -> None:
        inbox = Inbox(limit)
        model: list[int] = []
        dropped = 0
        for number, put in enumerate(puts):
            if put:
                inbox.put([number])
                model.append(number)
                if len(model) > limit:
                    del model[0]
                    dropped += 1
            elif model:
                assert await inbox.get() == model.pop(0)
            assert len(inbox) == len(model)
            assert inbox.dropped == dropped

    run(main())


def test_a_get_waits_for_the_next_put() -> None:
    async def main() -> None:
        inbox = Inbox(10)
        task = asyncio.ensure_future(inbox.get())
        await turns()
        assert not task.done()
        inbox.put(["a"])
        assert await task == "a"
        assert len(inbox) == 0

    run(main())


def test_several_that_wait_get_one_item_each() -> None:
    async def main() -> None:
        inbox = Inbox(10)
        tasks = [asyncio.ensure_future(inbox.get()) for _ in range(3)]
        await turns()
        inbox.put([0])
        await turns()
        assert sum(task.done() for task in tasks) == 1
        inbox.put([1])
        inbox.put([2])
        assert sorted(await asyncio.gather(*tasks)) == [0, 1, 2]

    run(main())


def test_a_cancelled_get_loses_no_item() -> None:
    async def main() -> None:
        inbox = Inbox(10)
        for number in range(20):
            task = asyncio.ensure_future(inbox.get())
            await turns(number % 3)
            inbox.put([number])
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert await inbox.get() == number

    run(main())


def test_one_that_waits_on_is_not_disturbed_by_another_that_is_cancelled() -> None:
    async def main() -> None:
        inbox = Inbox(10)
        given_up, waiting = (asyncio.ensure_future(inbox.get()) for _ in range(2))
        await turns()
        given_up.cancel()
        await turns()
        inbox.put(["a"])
        assert await waiting == "a"
        assert given_up.cancelled()

    run(main())


def test_after_the_end_what_waits_can_still_be_taken() -> None:
    async def main() -> None:
        inbox = Inbox(10)
        inbox.put(["a"])
        inbox.close()
        assert await inbox.get() == "a"
        for _ in range(2):
            with pytest.raises(StopAsyncIteration):
                await inbox.get()

    run(main())


def test_the_end_reaches_all_that_wait() -> None:
    async def main() -> None:
        inbox = Inbox(10)
        tasks = [asyncio.ensure_future(inbox.get()) for _ in range(3)]
        await turns()
        inbox.close()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(result) for result in results] == [StopAsyncIteration] * 3

    run(main())


def test_an_inbox_of_one_keeps_the_newest() -> None:
    async def main() -> None:
        inbox = Inbox(1)
        for number in range(5):
            inbox.put([number])
        assert inbox.dropped == 4
        assert await inbox.get() == 4

    run(main())


# --- the gate


def test_a_count_that_is_reached_already_is_not_waited_for() -> None:
    async def main() -> None:
        gate = Gate("the publisher of lab")
        await gate.wait(0)
        gate.set(2)
        await gate.wait(1)
        await gate.wait(2)
        assert gate.count == 2

    run(main())


@given(st.lists(st.integers(0, 5), max_size=10), st.lists(st.integers(0, 5), max_size=10))
def test_each_goes_on_as_soon_as_its_count_has_been_reached(wanted: list[int], counts: list[int]) -> None:
    async def main() -> None:
        gate = Gate("the publisher of lab")
        tasks = {asyncio.ensure_future(gate.wait(count)): count for count in wanted}
        await turns()
        highest = 0
        for count in counts:
            gate.set(count)
            highest = max(highest, count)
            await turns()
            assert gate.count == count
            assert all(task.done() is (wants <= highest) for task, wants in tasks.items())
        gate.close()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        failed = [type(result) is ClosedError for result in results]
        assert failed == [wants > highest for wants in tasks.values()]

    run(main())


def test_a_count_that_was_reached_for_a_moment_is_enough() -> None:
    async def main() -> None:
        gate = Gate("the publisher of lab")
        task = asyncio.ensure_future(gate.wait(2))
        await turns()
        gate.set(2)
        gate.set(0)
        await task

    run(main())


def test_closing_fails_all_that_wait_and_names_what_was_closed() -> None:
    async def main() -> None:
        gate = Gate("the publisher of lab")
        task = asyncio.ensure_future(gate.wait(1))
        await turns()
        gate.close()
        with pytest.raises(ClosedError, match="the publisher of lab is closed"):
            await task
        with pytest.raises(ClosedError, match="the publisher of lab is closed"):
            await gate.wait(0)
        gate.close()

    run(main())


def test_one_that_gives_up_waiting_leaves_the_others_alone() -> None:
    async def main() -> None:
        gate = Gate("the publisher of lab")
        given_up, waiting = (asyncio.ensure_future(gate.wait(1)) for _ in range(2))
        await turns()
        given_up.cancel()
        await turns()
        gate.set(1)
        await waiting
        assert given_up.cancelled()
        assert gate._waiting == []

    run(main())


def test_those_who_gave_up_are_forgotten_though_the_count_never_changes() -> None:
    async def main() -> None:
        gate = Gate("the publisher of lab")
        for _ in range(50):
            task = asyncio.ensure_future(gate.wait(1))
            await turns()
            task.cancel()
            await turns()
        assert len(gate._waiting) <= 1

    run(main())

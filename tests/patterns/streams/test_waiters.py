"""Waiting until messages are stored: `Waiters`, and `Stream.stored`."""

import asyncio
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from colugo import ClosedError, ConfigurationError, Node, StoreError
from colugo.patterns.streams.waiters import Waiters
from tests.support.essentials import run


@given(st.lists(st.integers(1, 20), max_size=20), st.integers(0, 21))
def test_those_are_resolved_whose_messages_are_written_in_whatever_order_they_came(
    seqs: list[int], last: int
) -> None:
    async def main() -> None:
        waiters = Waiters()
        futures = [waiters.add(seq, written=False) for seq in seqs]
        waiters.succeed(last)
        assert [future.done() for future in futures] == [seq <= last for seq in seqs]
        assert waiters.fail(21, StoreError("no room")) == {seq for seq in seqs if seq > last}
        assert all(future.done() for future in futures)
        errors = [future.exception() for future in futures]
        assert [error is None for error in errors] == [seq <= last for seq in seqs]

    asyncio.run(main())


def test_a_message_is_stored_when_its_transaction_is_committed(tmp_path: Path) -> None:
    async def main() -> None:
        async with Node("n") as node:
            stream = node.add_stream("t", store=tmp_path / "t.db")
            first, last = stream.send("1"), stream.send("2")
            assert stream.stats.messages == 0
            await stream.stored(last)
            assert stream.stats.messages == 2
            await stream.stored(first)

    run(main())


def test_several_can_wait_for_one_message_and_for_an_earlier_one_than_the_last() -> None:
    async def main() -> None:
        async with Node("n") as node:
            stream = node.add_stream("t")
            early, late = stream.send("1"), stream.send("2")
            await asyncio.gather(*map(stream.stored, [late, early, late]), stream.send_wait("3"))
            assert stream.stats.messages == 3

    run(main())


def test_a_message_that_cannot_be_stored_raises_and_is_not_sent_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def main() -> None:
        async with Node("n") as node:
            stream = node.add_stream("t")
            monkeypatch.setattr(stream._store, "commit", lambda _, done: done(StoreError("no room")))
            with pytest.raises(StoreError, match="no room"):
                await stream.stored(stream.send("x"))
            assert stream._scheduler.intake.unwritten == 0

    run(main())


def test_an_id_that_this_stream_has_not_given_is_refused_with_the_reason() -> None:
    async def main() -> None:
        async with Node("n") as node:
            stream = node.add_stream("t")
            with pytest.raises(ConfigurationError, match="not an id of this stream"):
                await stream.stored("0102030405060708-1")
            with pytest.raises(ConfigurationError, match="the stream t has sent no message"):
                await stream.stored(f"{stream.stream_id}-1")

    run(main())


def test_who_waits_learns_of_the_end_of_the_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with Node("n") as node:
            stream = node.add_stream("t")
            monkeypatch.setattr(stream._store, "commit", lambda transaction, done: None)
            waiting = asyncio.ensure_future(stream.stored(stream.send("x")))
            await asyncio.sleep(0)
            stream.close()
            with pytest.raises(ClosedError):
                await waiting

    run(main())

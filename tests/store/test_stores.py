"""The behaviour of every store, tested for SQLite and memory alike."""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import colugo
from colugo.errors import ClosedError, ConfigurationError, LifecycleError, StoreError
from colugo.protocol.streams.stream_message import StreamMessage
from colugo.store import DeadQuery, GroupRecord, Store, Transaction, Trim, size_of
from colugo.store.memory_store import MemoryStore
from colugo.store.recovery.salvage import salvage
from colugo.store.sqlite.sqlite_store import SqliteStore
from tests.support.essentials import run, until
from tests.support.storing import (
    ALL,
    commit,
    dead_letters,
    fill,
    get,
    letter,
    message,
    read,
    sqlite_store,
)

Make = Callable[[], Store]


@pytest.fixture(params=["sqlite", "memory"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    return MemoryStore if request.param == "memory" else lambda: sqlite_store(tmp_path / "s.db")


def with_store(make: Make, test: Callable[[Store], Any]) -> None:
    async def main() -> None:
        store = make()
        store.open()
        await test(store)
        await store.aclose()

    run(main())


# --- messages


def test_a_new_store_is_empty_and_has_an_id(make: Make) -> None:
    stores = [make()]
    opened = stores[0].open()
    assert len(opened.stream_id) == 8
    assert (opened.last_seq, opened.count, opened.size, opened.dead, opened.corrupt) == (0, 0, 0, 0, 0)
    assert opened.groups == []
    assert opened.attempts == {}
    stores[0].close()


def test_what_was_committed_is_read_as_it_was(make: Make) -> None:
    messages = [
        StreamMessage(1, "", b"", b"", 0, 0),
        StreamMessage(2, "schlüssel.€", b"\x81\xa1a\x01", bytes(range(256)) * 100, 1, 2**62, "only"),
        StreamMessage(7, "a\0b", b"\0", b"\0" * 10, 1, 3, "\0"),
    ]

    async def main(store: Store) -> None:
        outcome = await commit(store, inserts=messages)
        assert outcome.count == 3
        assert outcome.size == sum(map(size_of, messages)) == 25600 + 4 + 14 + 10 + 1 + 3
        assert await read(store) == messages
        assert await get(store, 7, 1, 3, 7) == [messages[0], messages[2]]

    with_store(make, main)


@pytest.mark.parametrize("large", [None, 1, 70, 131])
@pytest.mark.parametrize("count", [1, 9, 10, 49, 50, 61, 131])
def test_however_many_are_written_together_each_is_read_as_it_was(
    make: Make, count: int, large: int | None
) -> None:
    messages = [
        message(seq, bytes(100_000) if seq == large else b"", key=f"k.{seq}é") for seq in range(1, count + 1)
    ]

    async def main(store: Store) -> None:
        outcome = await commit(store, inserts=messages)
        assert (outcome.count, outcome.size) == (count, sum(map(size_of, messages)))
        assert await read(store) == messages
        assert (await commit(store, deletes=[(2, ALL)])).size == size_of(messages[0])

    with_store(make, main)


def test_reading_is_limited_in_number_and_bytes_but_gives_one_in_any_case(make: Make) -> None:
    messages = [message(seq, bytes(100)) for seq in range(1, 11)]

    async def main(store: Store) -> None:
        await commit(store, inserts=messages)
        assert await read(store, limit=3) == messages[:3]
        assert await read(store, after=4, limit=3) == messages[4:7]
        assert await read(store, max_bytes=350) == messages[:3]
        assert await read(store, max_bytes=300) == messages[:3]
        assert await read(store, after=8, max_bytes=1) == messages[8:9]
        assert await read(store, after=10) == []

    with_store(make, main)


def test_ranges_are_deleted_and_the_totals_follow(make: Make) -> None:
    messages = [message(seq, bytes(seq)) for seq in range(1, 11)]

    async def main(store: Store) -> None:
        await commit(store, inserts=messages)
        outcome = await commit(store, deletes=[(2, 3), (9, 400), (5, 4)])
        assert (outcome.count, outcome.size) == (6, 1 + 4 + 5 + 6 + 7 + 8)
        assert [found.seq for found in await read(store)] == [1, 4, 5, 6, 7, 8]
        outcome = await commit(store, inserts=[message(11, b"x")], deletes=[(1, 11)])
        assert (outcome.count, outcome.size) == (0, 0)

    with_store(make, main)


def test_a_number_that_is_there_already_is_an_error_and_nothing_is_done(make: Make) -> None:
    async def main(store: Store) -> None:
        await commit(store, inserts=[message(1)])
        with pytest.raises(StoreError):
            await commit(store, inserts=[message(2), message(1)], deletes=[(1, 1)])
        assert await read(store) == [message(1)]
        outcome = await commit(store, inserts=[message(2)])
        assert (outcome.count, outcome.size) == (2, size_of(message(1)) + size_of(message(2)))

    with_store(make, main)


def test_a_key_that_is_no_text_raises_where_it_is_given(make: Make) -> None:
    async def main(store: Store) -> None:
        with pytest.raises(UnicodeEncodeError):
            await commit(store, inserts=[message(1, key="\ud800")])
        assert (await commit(store)).count == 0

    with_store(make, main)


def test_a_number_that_sqlite_cannot_hold_is_an_error_and_the_next_job_is_done(tmp_path: Path) -> None:
    async def main(store: Store) -> None:
        with pytest.raises(StoreError, match="too large"):
            await commit(store, inserts=[message(1), message(2**63)._replace(sent_ns=0)])
        assert (await commit(store, inserts=[message(1)])).count == 1

    with_store(lambda: sqlite_store(tmp_path / "s.db"), main)


def test_who_asks_for_a_number_that_sqlite_cannot_hold_is_told_so_also_while_something_is_written(
    tmp_path: Path,
) -> None:
    async def main(store: Store) -> None:
        answers: list[Any] = []
        store.commit(Transaction(inserts=[message(1)]), lambda _: None)
        store.get([2**63], answers.append)
        store.read(2**63, 10, 10, answers.append)
        store.dead_letters(DeadQuery(limit=10, after=(2**63, "")), answers.append)
        assert (await commit(store)).count == 1
        await until(lambda: len(answers) == 3)
        for answer in answers:
            assert isinstance(answer, StoreError)
            assert "too large" in str(answer)

    with_store(lambda: sqlite_store(tmp_path / "s.db"), main)


def test_a_callback_that_raises_does_not_hold_the_others_up(tmp_path: Path) -> None:
    store = sqlite_store(tmp_path / "s.db")
    store.open()
    seen: list[Any] = []

    def nest(_: object) -> None:
        store.commit(Transaction(inserts=[message(2)]), seen.append)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        store.commit(Transaction(inserts=[message(1)]), nest)
    assert [outcome.count for outcome in seen] == [2]
    store.close()


# --- limits


def test_the_oldest_go_until_the_limits_hold(make: Make) -> None:
    messages = [message(seq, bytes(10)) for seq in range(1, 11)]

    async def main(store: Store) -> None:
        outcome = await commit(store, inserts=messages, trim=Trim(max_messages=8))
        assert (outcome.trimmed, outcome.expired, outcome.count) == ([1, 2], [], 8)
        outcome = await commit(store, trim=Trim(max_bytes=75))
        assert (outcome.trimmed, outcome.count, outcome.size) == ([3], 7, 70)
        outcome = await commit(store, trim=Trim(oldest_ns=6000, max_messages=4))
        assert (outcome.expired, outcome.trimmed, outcome.count) == ([4, 5], [6], 4)
        outcome = await commit(store, trim=Trim(max_messages=4, max_bytes=40, oldest_ns=7000))
        assert (outcome.expired, outcome.trimmed, outcome.count) == ([], [], 4)
        outcome = await commit(store, trim=Trim(max_messages=0))
        assert (outcome.trimmed, outcome.count, outcome.size) == ([7, 8, 9, 10], 0, 0)

    with_store(make, main)


def test_dead_letters_count_as_bytes_but_do_not_go(make: Make) -> None:
    async def main(store: Store) -> None:
        dead = letter(1)._replace(message=message(1, bytes(50)))
        outcome = await commit(store, inserts=[message(2, bytes(10))], dead=[dead])
        assert (outcome.count, outcome.size, outcome.dead) == (1, 60, 1)
        outcome = await commit(store, trim=Trim(max_bytes=40))
        assert (outcome.trimmed, outcome.size, outcome.dead) == ([2], 50, 1)

    with_store(make, main)


# --- dead letters


def test_dead_letters_are_found_by_group_key_and_id_and_a_page_at_a_time(make: Make) -> None:
    dead = [letter(1, "a"), letter(1, "b", "k"), letter(2, "a", "k"), letter(3, "b", "k2")]

    async def main(store: Store) -> None:
        outcome = await commit(store, dead=dead)
        assert outcome.dead == 4
        assert await dead_letters(store) == dead
        assert await dead_letters(store, group="a") == [dead[0], dead[2]]
        assert await dead_letters(store, key="k") == [dead[1], dead[2]]
        assert await dead_letters(store, key="") == [dead[0]]
        assert await dead_letters(store, limit=1) == dead[:1]
        assert await dead_letters(store, after=(1, "a"), limit=2) == dead[1:3]
        assert await dead_letters(store, ids=[("b", 3), ("a", 1), ("x", 1), ("a", 1)]) == [dead[0], dead[3]]
        assert await dead_letters(store, ids=[("b", 3), ("a", 1)], group="b") == [dead[3]]
        assert await dead_letters(store, ids=[]) == []
        outcome = await commit(store, undead=[("a", 1), ("b", 1), ("z", 9)])
        assert (outcome.dead, outcome.size) == (2, sum(size_of(one.message) for one in dead[2:]))
        assert await dead_letters(store) == dead[2:]

    with_store(make, main)


# --- callbacks


def test_what_is_given_is_done_in_its_order(make: Make) -> None:
    async def main(store: Store) -> None:
        seen: list[str] = []
        store.commit(Transaction(inserts=[message(1)]), lambda _: seen.append("first"))
        store.read(0, 10, 10, lambda found: seen.append(f"read {len(found)}"))  # type: ignore[arg-type]
        store.commit(Transaction(inserts=[message(2)]), lambda _: seen.append("second"))
        store.commit(Transaction(inserts=[message(3)]), lambda _: seen.append("third"))
        assert (await commit(store, deletes=[(1, 1)])).count == 2
        assert sorted(seen) == ["first", "read 1", "second", "third"]
        assert [word for word in seen if word != "read 1"] == ["first", "second", "third"]

    with_store(make, main)


def test_a_callback_may_give_the_next_transaction(make: Make) -> None:
    async def main(store: Store) -> None:
        ended = asyncio.get_running_loop().create_future()

        def go_on(outcome: Any) -> None:
            if outcome.count == 50:
                ended.set_result(None)
            else:
                store.commit(Transaction(inserts=[message(outcome.count + 1)]), go_on)

        store.commit(Transaction(), go_on)
        await ended
        assert len(await read(store)) == 50

    with_store(make, main)


def test_a_closed_store_takes_nothing_more(make: Make) -> None:
    async def main(store: Store) -> None:
        await store.aclose()
        await store.aclose()
        store.close()
        with pytest.raises(ClosedError):
            await commit(store)
        with pytest.raises(ClosedError):
            await read(store)

    with_store(make, main)


def test_a_store_that_is_not_open_takes_nothing(make: Make) -> None:
    store = make()
    with pytest.raises(LifecycleError):
        store.commit(Transaction(), print)
    store.open()
    with pytest.raises(LifecycleError):
        store.open()
    store.close()


# --- in a file


def test_everything_is_there_again_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    record = GroupRecord(
        "grüppe", False, ("a.*", "#"), b"\x01\0", 9, b"\x02", True, 77, ((5, ("b", "=c")), (8, ("#",)))
    )
    plain = GroupRecord("plain")

    async def first() -> colugo.StoreError | bytes:
        store = sqlite_store(path)
        opened = store.open()
        await commit(
            store,
            inserts=[message(1), message(2), message(8)],
            groups={"grüppe": GroupRecord("grüppe"), "plain": plain},
            attempts=[("grüppe", 2, 1), ("plain", 2, 1), ("plain", 8, 5)],
            dead=[letter(1)],
        )
        await commit(
            store,
            deletes=[(8, 8)],
            groups={"grüppe": record},
            attempts=[("grüppe", 2, 3)],
            settled=[("plain", 2)],
        )
        await store.aclose()
        return opened.stream_id

    async def second() -> None:
        store = sqlite_store(path)
        opened = store.open()
        assert opened.stream_id == stream_id
        assert (opened.last_seq, opened.count, opened.dead, opened.corrupt) == (8, 2, 1, 0)
        assert opened.size == 2 * size_of(message(1)) + size_of(message(2))
        assert opened.groups == [record, plain]
        assert opened.attempts == {("grüppe", 2): 3}
        assert await read(store) == [message(1), message(2)]
        assert await dead_letters(store) == [letter(1)]
        await store.aclose()

    stream_id = run(first())
    assert [found.name for found in tmp_path.iterdir()] == ["s.db"]
    run(second())


def test_numbers_are_not_used_again_when_all_messages_are_gone(tmp_path: Path) -> None:
    async def main() -> None:
        store = sqlite_store(tmp_path / "s.db")
        store.open()
        await commit(store, inserts=[message(41)])
        await commit(store, deletes=[(41, 41)])
        await store.aclose()
        store = sqlite_store(tmp_path / "s.db")
        assert store.open().last_seq == 41
        await store.aclose()

    run(main())


def test_what_was_given_before_closing_is_committed(tmp_path: Path) -> None:
    async def main(*, blocking: bool) -> None:
        store = sqlite_store(tmp_path / f"{blocking}.db")
        store.open()
        seen: list[int] = []
        for seq in range(1, 21):
            store.commit(Transaction(inserts=[message(seq)]), lambda outcome: seen.append(outcome.count))  # type: ignore[union-attr]
        if blocking:
            store.close()
        else:
            await store.aclose()
        assert seen == list(range(1, 21))

    for blocking in (False, True):
        run(main(blocking=blocking))
        store = sqlite_store(tmp_path / f"{blocking}.db")
        assert store.open().count == 20
        store.close()


def test_a_store_needs_no_loop(tmp_path: Path) -> None:
    fill(tmp_path / "s.db", 250)
    store = sqlite_store(tmp_path / "s.db")
    assert store.open().count == 250
    found: list[Any] = []
    store.read(240, 100, 10**6, found.append)
    store.commit(Transaction(deletes=[(1, 100)]), found.append)
    assert [one.seq for one in found[0]] == list(range(241, 251))
    assert found[1].count == 150
    store.close()


def test_a_loop_that_was_closed_does_not_hold_the_store_back(tmp_path: Path) -> None:
    store = sqlite_store(tmp_path / "s.db")
    store.open()
    seen: list[Any] = []

    async def leave() -> None:
        store.commit(Transaction(inserts=[message(1)]), seen.append)
        store.commit(Transaction(inserts=[message(2)]), seen.append)

    asyncio.run(leave())
    store.close()
    assert [outcome.count for outcome in seen] == [1, 2]


def test_a_file_that_held_much_is_small_again_when_it_is_drained(tmp_path: Path) -> None:
    path = tmp_path / "s.db"

    async def main() -> None:
        store = sqlite_store(path, durability="os")
        store.open()
        for seq in range(1, 101):
            await commit(store, inserts=[message(seq, bytes(1024 * 1024))])
        large = path.stat().st_size
        await commit(store, deletes=[(1, 99)])
        await commit(store, inserts=[message(101)])
        assert large > 90 * 1024 * 1024
        assert path.stat().st_size < 3 * 1024 * 1024
        assert [one.seq for one in await read(store)] == [100, 101]
        await store.aclose()

    run(main())
    assert fill(path, 1)[0].seq == 102


def test_an_unknown_durability_is_refused(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "s.db", durability="some", logger=logging.getLogger())  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="'some'"):
        store.open()


# --- whose it is


def test_a_store_remembers_its_topic_and_is_not_opened_for_another_one(tmp_path: Path) -> None:
    """Refuse a store of another topic, whose messages and groups are different ones."""

    async def main() -> None:
        async with colugo.Node("shop") as shop:
            orders = shop.add_stream("orders", store=tmp_path / "s.db")
            await orders.send_wait("tea")
        before = (tmp_path / "s.db").read_bytes()
        async with colugo.Node("relay") as relay:
            with pytest.raises(colugo.StoreError, match="belongs to the stream 'orders', not to 'messenger'"):
                relay.add_stream("messenger", store=tmp_path / "s.db")
        assert (tmp_path / "s.db").read_bytes() == before
        async with colugo.Node("shop") as shop:
            orders = shop.add_stream("orders", store=tmp_path / "s.db")
            assert [one.message for one in await orders.messages()] == ["tea"]
        salvage(tmp_path / "s.db", tmp_path / "copy.db")
        async with colugo.Node("shop") as shop:
            with pytest.raises(colugo.StoreError, match="belongs to the stream 'orders'"):
                shop.add_stream("invoices", store=tmp_path / "copy.db")
            assert shop.add_stream("orders", store=tmp_path / "copy.db").stats.messages == 1

    run(main())

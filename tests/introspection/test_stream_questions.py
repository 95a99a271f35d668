"""Questions to nodes about their streams, and the exchange of groups between streams of a topic."""

import asyncio
import base64
import logging
import os
from pathlib import Path
from typing import Any

import pytest

from colugo import Node
from colugo.errors import LifecycleError, RemoteError
from colugo.net.node_endpoint import ask
from colugo.patterns.streams.group import StreamGroup
from colugo.patterns.streams.stream import Stream
from colugo.protocol.description.node_description import from_plain
from colugo.protocol.streams.attempts import DeliveryRules
from colugo.protocol.streams.ranges import RangeSet
from colugo.protocol.streams.stream_message import StreamMessage
from colugo.store import CommitOutcome, GroupRecord, OpenedStore, Transaction
from colugo.store.sqlite.sqlite_store import SqliteStore
from tests.support.essentials import Collector, new_realm, run, until


async def answer(node: Node, question: str, **arguments: Any) -> Any:
    """Ask a node as a tool does."""
    own = next(one for one in node.nodes if one.node_id == node.uuid.bytes)
    return await ask(node._runtime.sockets, own.endpoints[0], question, 5000, arguments)


async def meet(stream: Stream, group: str, **options: Any) -> None:
    """Connect a consumer of a group to this stream only, and disconnect it."""
    async with Node("passing consumer", realm=f"{stream.topic}.elsewhere") as node:
        consumer = node.add_consumer(
            stream.topic, print, group=group, connect=stream.endpoints[:1], **options
        )
        await consumer.ready()
        await until(lambda: group in stream.groups)
    await until(lambda: group not in stream.groups or stream.groups[group].members == 0)


# --- groups


def test_a_durable_group_that_one_stream_has_met_is_known_to_one_that_begins_after_it_left() -> None:
    async def main() -> None:
        async with Node("a") as a:
            first = a.add_stream("jobs")
            await meet(first, "billing", bindings=["paid.*"])
            async with Node("b") as b:
                second = b.add_stream("jobs")
                await until(lambda: "billing" in second.groups)
                assert second.groups["billing"].durable
                second.send("no consumer wants this", key="open.1")
                second.send("one", key="paid.1")
                handled = Collector()
                async with Node("c") as c:
                    c.add_consumer("jobs", handled, group="billing", bindings=["paid.*"])
                    assert await handled.reach(1) == ["one"]
                    await second.drained()
                assert second.stats.unrouted == 1

    run(main())


def test_a_group_that_is_met_while_both_streams_run_is_known_to_both() -> None:
    async def main() -> None:
        async with Node("a") as a, Node("b") as b:
            first, second = a.add_stream("jobs"), b.add_stream("jobs", groups=["early"])
            await until(lambda: "early" in first.groups)
            await meet(first, "late")
            await until(lambda: "late" in second.groups)

    run(main())


def test_a_group_that_is_not_durable_is_not_told_of() -> None:
    async def main() -> None:
        async with Node("a") as a, Node("b") as b:
            first, second = a.add_stream("jobs"), b.add_stream("jobs")
            await meet(first, "passing", durable=False)
            await meet(first, "marker")
            await until(lambda: "marker" in second.groups)
            assert "passing" not in second.groups

    run(main())


def test_what_one_stream_forgets_the_other_forgets_too() -> None:
    async def main() -> None:
        async with Node("a") as a, Node("b") as b:
            first, second = a.add_stream("jobs", groups=["gone"]), b.add_stream("jobs")
            await until(lambda: "gone" in second.groups)
            second.send("waits for them")
            await until(lambda: second.stats.messages == 1)
            assert first.forget("gone")
            await until(lambda: "gone" not in second.groups)
            assert not second.forget("gone")

    run(main())


def test_a_stream_that_was_down_learns_by_the_tombstone_that_a_group_was_forgotten(tmp_path: Any) -> None:
    async def main() -> None:
        async with Node("a") as a:
            first = a.add_stream("jobs", store=tmp_path / "a.db", groups=["gone", "kept"])
            async with Node("b") as b:
                second = b.add_stream("jobs", store=tmp_path / "b.db")
                await until(lambda: set(second.groups) == {"gone", "kept"})
                await second.send_wait("waits for both")
            assert first.forget("gone")
        async with Node("a") as a:  # it remembers across a restart of its own
            a.add_stream("jobs", store=tmp_path / "a.db")
            async with Node("b") as b:
                second = b.add_stream("jobs", store=tmp_path / "b.db")
                assert set(second.groups) == {"gone", "kept"}
                await until(lambda: set(second.groups) == {"kept"})
                handled = Collector()
                b.add_consumer("jobs", handled, group="kept")
                await handled.reach(1)
                await second.drained()

    run(main())


def test_a_consumer_that_comes_again_revives_its_group_at_all_streams() -> None:
    async def main() -> None:
        async with Node("a") as a, Node("b") as b:
            first, second = a.add_stream("jobs"), b.add_stream("jobs", groups=["back"])
            await until(lambda: "back" in first.groups)
            assert second.forget("back")
            await until(lambda: "back" not in first.groups)
            await meet(first, "back")
            await until(lambda: "back" in second.groups)
            assert second.groups["back"].durable

    run(main())


def test_a_group_is_not_forgotten_while_it_has_consumers_here_or_at_another_stream() -> None:
    async def main() -> None:
        async with Node("a") as a, Node("b") as b, Node("c", realm=new_realm()) as c:
            first, second = a.add_stream("jobs"), b.add_stream("jobs")
            c.add_consumer("jobs", print, group="alive", connect=first.endpoints[:1])
            await until(lambda: "alive" in second.groups)
            with pytest.raises(LifecycleError, match="'alive' has 1 consumers"):
                first.forget("alive")
            known = first._scheduler.groups.known["alive"].changed_ms
            assert second.forget("alive")
            # the first one reports its group, which is the newer entry
            await until(lambda: "alive" in second.groups)
            assert first._scheduler.groups.known["alive"].changed_ms > known
            assert first.groups["alive"].members == 1

    run(main())


def test_a_tombstone_of_a_clock_that_is_ahead_does_not_outlive_a_consumer() -> None:
    async def main() -> None:
        async with Node("a") as a:
            stream = a.add_stream("jobs", groups=["g"])
            ahead = {"name": "g", "bindings": ["#"], "forgotten": True, "changed_ms": 2**52}
            told = await answer(a, "stream-groups", topic="jobs", groups=[ahead])
            assert told == [ahead]
            await meet(stream, "g")
            (told,) = await answer(a, "stream-groups", topic="jobs", groups=[ahead])
            assert (told["forgotten"], told["changed_ms"]) == (False, 2**52 + 1)
            assert "g" in stream.groups
            assert stream.forget("g")
            (told,) = await answer(a, "stream-groups", topic="jobs")
            assert told["changed_ms"] == 2**52 + 2

    run(main())


def test_more_groups_than_a_question_can_carry_are_told_in_parts() -> None:
    async def main() -> None:
        async with Node("a") as a, Node("b") as b:
            first, second = a.add_stream("jobs"), b.add_stream("jobs")
            for number in range(60):  # together 2.4 MB of bindings
                bindings = [f"{number}.{key:03}.{'x' * 90}" for key in range(400)]
                first._scheduler.groups.make_group(f"g{number}", bindings, durable=True)
            await until(lambda: len(second.groups) == 60)
            await meet(second, "back")
            await until(lambda: len(first.groups) == 61)

    run(main())


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({}, "missing required field `topic`"),
        ({"topic": 1}, "Expected `str`"),
        ({"topic": "jobs", "more": 1}, "unknown field `more`"),
        ({"topic": "other"}, "this node has no stream other"),
        ({"topic": "jobs", "socket": "00"}, "this node has no stream jobs with the id 00"),
        ({"topic": "jobs", "groups": "all"}, "Expected `array`"),
        ({"topic": "jobs", "groups": [{"name": "g"}]}, "missing required field `bindings`"),
        (
            {
                "topic": "jobs",
                "groups": [{"name": "", "bindings": ["#"], "forgotten": False, "changed_ms": 1}],
            },
            "must not be empty",
        ),
        (
            {"topic": "jobs", "groups": [{"name": "g", "bindings": [], "forgotten": False, "changed_ms": 1}]},
            "must be 1 to 1000 bindings",
        ),
        (
            {"topic": "jobs", "groups": [{"name": "g", "bindings": ["#"], "forgotten": 1, "changed_ms": 1}]},
            "Expected `bool`",
        ),
        (
            {
                "topic": "jobs",
                "groups": [{"name": "g", "bindings": ["#"], "forgotten": True, "changed_ms": 2**60}],
            },
            "changed_ms",
        ),
    ],
)
def test_news_of_groups_that_are_none_are_refused(
    arguments: dict[str, Any], text: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with Node("a") as a:
            stream = a.add_stream("jobs")
            with pytest.raises(RemoteError, match="ConfigurationError") as raised:
                await answer(a, "stream-groups", **arguments)
            assert text in str(raised.value)
            assert stream.groups == {}
        assert caplog.records == []

    run(main())


# --- messages and dead letters


def poison(message: Any) -> None:
    raise RuntimeError(f"cannot do {str(message)[:40]}")


async def with_dead_letters(node: Node, stream: Stream, n: int, group: str = "g") -> list[str]:
    """Send messages that a group cannot handle; return their ids when they are dead."""
    async with Node("broken") as broken:
        consumer = broken.add_consumer(stream.topic, poison, group=group)
        await consumer.ready()
        await until(lambda: group in stream.groups)
        ids = [stream.send(f"poison {i}", key=f"lab.{'even' if i % 2 == 0 else 'odd'}") for i in range(n)]
        await until(lambda: stream.stats.dead == n)
    return ids


def test_a_node_says_which_streams_it_has() -> None:
    async def main() -> None:
        async with Node("a") as a:
            stream = a.add_stream("jobs", groups=["billing"], ack="any", codec="json")
            a.add_stream("other")
            stream.send({"a": 1})
            await until(lambda: stream.stats.messages == 1)
            jobs, other = await answer(a, "streams")
            assert (jobs["topic"], other["topic"], jobs["messages"]) == ("jobs", "other", 1)
            assert jobs["stream_id"] == stream.stream_id
            (group,) = jobs["groups"]
            assert (group["name"], group["waiting"], group["members"]) == ("billing", 1, 0)
            with pytest.raises(RemoteError, match="unknown field"):
                await answer(a, "streams", topic="jobs")

    run(main())


def test_a_node_describes_its_streams_and_consumers() -> None:
    async def main() -> None:
        async with Node("a") as a, Node("b") as b:
            stream = a.add_stream("jobs", max_deliver=1)
            handled = Collector()
            consumer = b.add_consumer("jobs", handled, group="g", bindings=["ok", "bad"], prefetch=7)
            await stream.ready()
            await with_dead_letters(a, stream, 2, "broken")
            stream.send("one", key="ok")
            await handled.reach(1)
            await until(lambda: stream.groups["g"].acknowledged == 1)
            (told,) = from_plain(await answer(a, "describe")).streams
            assert (told.sent, told.acknowledged, told.delivered, told.dead, told.dead_lettered) == (
                3,
                1,
                3,
                2,
                2,
            )
            assert {group.name: group.members for group in told.groups} == {"g": 1, "broken": 0}
            (heard,) = from_plain(await answer(b, "describe")).consumers
            assert (heard.group, heard.bindings, heard.prefetch) == ("g", ["ok", "bad"], 7)
            assert (heard.received, heard.acknowledged, consumer.stats.received) == (1, 1, 1)
            (link,) = heard.links
            assert (link.node, link.topic, link.connected, link.received) == ("a", "jobs", True, 1)

    run(main())


def test_what_a_stream_has_handed_out_is_still_counted_when_the_group_is_gone() -> None:
    async def main() -> None:
        async with Node("a") as a:
            stream = a.add_stream("jobs", max_deliver=1)
            await with_dead_letters(a, stream, 3)
            assert stream.forget("g")
            (told,) = from_plain(await answer(a, "describe")).streams
            assert (told.groups, told.delivered, told.dead_lettered) == ([], 3, 3)

    run(main())


def test_as_many_messages_wait_for_a_group_as_it_has_not_had_though_none_of_its_members_is_there() -> None:
    async def main() -> None:
        async with Node("a") as a, Node("b") as b:
            stream = a.add_stream("jobs", groups=["slow", "quick"])
            for number in range(2500):  # more than are made ready at a time
                stream.send(str(number))
            await until(lambda: stream.stats.messages == 2500)
            assert stream.groups["slow"].waiting == 2500
            handled = Collector()
            b.add_consumer("jobs", handled, group="quick")
            await handled.reach(2500)
            await until(lambda: stream.groups["quick"].waiting == 0)
            assert stream.groups["slow"].waiting == 2500
            stream.send("late")
            await handled.reach(2501)
            assert stream.groups["slow"].waiting == 2501

    run(main())


@pytest.fixture(params=["memory", "file"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Path | None:
    return tmp_path / "stream.db" if request.param == "file" else None


def test_messages_are_listed_by_pages_and_shown_whole(store: Path | None) -> None:
    async def main() -> None:
        async with Node("a") as a:
            stream = a.add_stream("jobs", store=store)
            ids = [
                stream.send("text", key="k", headers={"n": 1, "raw": b"\0\1", "deep": {"a": [1.5, None]}}),
                stream.send(b"\xff\0binary"),
                stream.send("é" * 1000),
                stream.send(b"\0\1\2"),
                stream.send(""),
            ]
            page = await answer(a, "stream-messages", topic="jobs", limit=3)
            assert [one["id"] for one in page] == ids[:3]
            assert (page[0]["preview"], page[0]["text"], page[0]["size"]) == ("text", True, 4)
            assert page[0]["headers"] == {"n": 1, "raw": "AAE=", "deep": {"a": [1.5, None]}}
            assert (page[1]["preview"], page[1]["text"]) == (b"\xff\0binary".hex(), False)
            assert (page[2]["preview"], page[2]["size"]) == ("é" * 200, 2000)
            page = await answer(a, "stream-messages", topic="jobs", after=ids[2])
            assert [(one["id"], one["preview"]) for one in page] == [(ids[3], "000102"), (ids[4], "")]
            assert await answer(a, "stream-messages", topic="jobs", after=ids[4]) == []
            whole = await answer(a, "stream-show", topic="jobs", id=ids[1])
            assert base64.b64decode(whole["base64"]) == b"\xff\0binary"
            assert (whole["dead"], whole["id"]) == (False, ids[1])
            gone = ids[0].replace("-1", "-99")
            assert await answer(a, "stream-show", topic="jobs", id=gone) is None
            (first, *_) = await stream.messages()
            assert (first.message, first.headers["raw"], first.id) == ("text", b"\0\1", ids[0])
            assert await stream.message(gone) is None

    run(main())


def test_a_message_larger_than_an_answer_is_shown_in_parts_and_listed_in_pages(store: Path | None) -> None:
    async def main() -> None:
        async with Node("a") as a:
            stream = a.add_stream("jobs", store=store)
            large = os.urandom(20 * 1024 * 1024)
            sent = await stream.send_wait(large)
            await stream.send_wait("small", headers={"long": "\0" * 60_000})
            parts: list[bytes] = []
            while True:
                offset = sum(map(len, parts))
                whole = await answer(a, "stream-show", topic="jobs", id=sent, offset=offset)
                part = base64.b64decode(whole["base64"])
                if not part:
                    break
                parts.append(part)
            assert b"".join(parts) == large
            assert whole["size"] == len(large)
            (only,) = await answer(a, "stream-messages", topic="jobs")  # one page has no more
            assert only["id"] == sent
            (other,) = await answer(a, "stream-messages", topic="jobs", after=sent)
            assert other["preview"] == "small"

    run(main())


def test_a_page_of_messages_with_long_headers_is_no_longer_than_an_answer() -> None:
    async def main() -> None:
        async with Node("a") as a:
            stream = a.add_stream("jobs")
            ids = [
                stream.send(str(n), headers={"long": "\0" * 60_000}) for n in range(40)
            ]  # 6 characters each in JSON
            found: list[str] = []
            pages = 0
            while page := await answer(
                a, "stream-messages", topic="jobs", after=found[-1] if found else None
            ):
                found += [one["id"] for one in page]
                pages += 1
            assert found == ids
            assert pages > 1

    run(main())


def test_dead_letters_are_listed_shown_resurrected_and_purged_by_filter(store: Path | None) -> None:
    async def main() -> None:
        async with Node("a") as a:
            stream = a.add_stream("jobs", store=store, max_deliver=1)
            ids = await with_dead_letters(a, stream, 6)
            page = await answer(a, "stream-dead", topic="jobs", limit=4)
            assert [one["id"] for one in page] == ids[:4]
            assert (page[0]["group"], page[0]["attempts"]) == ("g", 1)
            assert "cannot do poison 0" in page[0]["reason"]
            after = [ids[3], "g"]
            page = await answer(a, "stream-dead", topic="jobs", limit=4, after=after)
            assert [one["id"] for one in page] == ids[4:]
            page = await answer(a, "stream-dead", topic="jobs", key="*.odd", group="g")
            assert [one["id"] for one in page] == ids[1::2]
            assert await answer(a, "stream-dead", topic="jobs", group="other") == []
            letter = await answer(a, "stream-show", topic="jobs", id=ids[0], group="g")
            assert "RuntimeError: cannot do poison 0" in letter["traceback"]
            assert (letter["dead"], base64.b64decode(letter["base64"])) == (True, b"poison 0")
            assert await answer(a, "stream-show", topic="jobs", id=ids[0], group="other") is None
            assert await answer(a, "stream-show", topic="jobs", id=ids[0]) is None

            assert await answer(a, "stream-purge", topic="jobs", ids=ids[:1]) == 1
            assert await answer(a, "stream-purge", topic="jobs", ids=ids[:1]) == 0
            assert await answer(a, "stream-resurrect", topic="jobs", key="lab.odd") == 3
            handled = Collector()
            async with Node("mended") as mended:
                mended.add_consumer("jobs", handled, group="g")
                assert await handled.reach(3) == ["poison 1", "poison 3", "poison 5"]
            assert await answer(a, "stream-purge", topic="jobs", group="g") == 2
            assert (await answer(a, "streams"))[0]["dead"] == 0

    run(main())


def test_what_is_resurrected_and_fails_again_is_not_resurrected_for_ever() -> None:
    async def main() -> None:
        async with Node("a") as a:
            stream = a.add_stream("jobs", max_deliver=1)
            await with_dead_letters(a, stream, 3)
            async with Node("still broken") as broken:
                await broken.add_consumer("jobs", poison, group="g").ready()
                assert await stream.dead_letters.resurrect() == 3
                await until(lambda: stream.stats.dead == 3)
            assert stream.stats.sent == 6

    run(main())


def test_dead_letters_of_a_group_that_is_not_known_any_more_stay(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with Node("a") as a:
            stream = a.add_stream("jobs", max_deliver=1, groups=["other"])
            await with_dead_letters(a, stream, 2)
            assert await answer(a, "stream-forget", topic="jobs", group="g")
            assert not await answer(a, "stream-forget", topic="jobs", group="g")
            assert await stream.dead_letters.resurrect() == 0
            assert "2 dead letters stay" in caplog.text
            with pytest.raises(RemoteError, match="has no group 'g'"):
                await answer(a, "stream-resurrect", topic="jobs", group="g")
            assert stream.stats.dead == 2
            assert await answer(a, "stream-purge", topic="jobs") == 2

    run(main())


def test_a_dead_letter_whose_headers_are_full_is_resurrected_without_its_first_id() -> None:
    async def main() -> None:
        async with Node("a") as a, Node("b") as b:
            stream = a.add_stream("jobs", max_deliver=1)
            headers = {"long": "x" * 65_520}
            async with Node("broken") as broken:
                await broken.add_consumer("jobs", poison, group="g").ready()
                await until(lambda: "g" in stream.groups)
                stream.send("x", headers=headers)
                await until(lambda: stream.stats.dead == 1)
            assert await stream.dead_letters.resurrect() == 1
            handled = Collector()
            b.add_consumer("jobs", lambda _, delivery: handled(delivery.headers), group="g")
            assert await handled.reach(1) == [headers]

    run(main())


@pytest.mark.parametrize(
    ("question", "arguments", "text"),
    [
        ("stream-messages", {"limit": 0}, "limit"),
        ("stream-messages", {"limit": 1001}, "limit"),
        ("stream-messages", {"after": "12"}, "not an id of this stream"),
        ("stream-messages", {"after": f"{'0' * 16}-1"}, "not an id of this stream"),
        ("stream-show", {"id": ""}, "not an id of this stream"),
        ("stream-show", {}, "not an id of this stream"),
        ("stream-show", {"id": "x", "offset": -1}, "offset"),
        ("stream-dead", {"group": ""}, "must not be empty"),
        ("stream-dead", {"key": "a.b*"}, "whole words"),
        ("stream-dead", {"after": ["x"]}, "after"),
        ("stream-resurrect", {"ids": []}, "ids"),
        ("stream-resurrect", {"ids": "all"}, "ids"),
        ("stream-purge", {"ids": ["1"]}, "not an id of this stream"),
        ("stream-purge", {"all": True}, "unknown field `all`"),
        ("stream-forget", {}, "must not be empty"),
        ("stream-forget", {"group": "a\nb"}, "printable"),
    ],
)
def test_arguments_that_cannot_work_are_refused(
    question: str, arguments: dict[str, Any], text: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with Node("a") as a:
            stream = a.add_stream("jobs", max_deliver=1)
            await with_dead_letters(a, stream, 1)
            caplog.clear()
            with pytest.raises(RemoteError) as raised:
                await answer(a, question, topic="jobs", **arguments)
            assert raised.value.type_name in {"ConfigurationError", "TopicError"}
            assert text in str(raised.value)
            assert stream.stats.dead == 1
            assert caplog.records == []
            with pytest.raises(RemoteError, match="this node has no stream other"):
                await answer(a, question, topic="other")

    run(main())


def test_a_group_that_has_consumers_is_not_forgotten_by_a_tool() -> None:
    async def main() -> None:
        async with Node("a") as a:
            stream = a.add_stream("jobs")
            a.add_consumer("jobs", print, group="alive")
            await stream.ready()
            with pytest.raises(RemoteError, match="'alive' has 1 consumers"):
                await answer(a, "stream-forget", topic="jobs", group="alive")

    run(main())


# --- groups that are not remembered, and what a producer had in flight


async def in_store(path: Path, transaction: Transaction | None = None) -> OpenedStore:
    """Return the content of a store, after a transaction."""
    store = SqliteStore(path, logger=logging.getLogger("test"))
    opened = store.open()
    if transaction is not None:
        outcome: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        store.commit(transaction, outcome.set_result)
        assert isinstance(await outcome, CommitOutcome)
    await store.aclose()
    return opened


def test_a_group_that_is_not_durable_does_not_outlive_a_producer_that_was_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("colugo.patterns.streams.groups._LINGER_S", 0.05)

    async def main() -> None:
        path = tmp_path / "a.db"
        groups = {
            name: GroupRecord(name, durable=name == "kept", changed_ms=1) for name in ("kept", "passing")
        }
        await in_store(path, Transaction(groups=groups))
        async with Node("a") as a:
            stream = a.add_stream("jobs", store=path)
            assert set(stream.groups) == {"kept", "passing"}
            stream.send("one")
            await until(lambda: set(stream.groups) == {"kept"})
            a.add_consumer("jobs", print, group="kept")
            await stream.drained()
        assert [record.name for record in (await in_store(path)).groups] == ["kept"]

    run(main())


@pytest.mark.parametrize("durable", [True, False])
def test_only_what_has_to_be_remembered_of_groups_stays_in_the_store(durable: bool, tmp_path: Path) -> None:  # noqa: FBT001
    async def main() -> None:
        path = tmp_path / "a.db"
        async with Node("a") as a:
            stream = a.add_stream("jobs", store=path, groups=["kept"])
            await meet(stream, "passing", durable=durable)
            if durable:
                assert stream.forget("passing")
            await until(lambda: "passing" not in stream.groups)
        records = {record.name: record.forgotten for record in (await in_store(path)).groups}
        assert records == ({"kept": False, "passing": True} if durable else {"kept": False})

    run(main())


def test_what_was_in_flight_is_still_known_if_the_producer_ends_before_it_has_read_it_again() -> None:
    flight = RangeSet([(2, 3), (7, 7)])
    group = StreamGroup(GroupRecord("g", offered=9, flight=flight.encode()), DeliveryRules(2, 30.0, 1.0))
    assert group.record().flight == flight.encode()
    assert not group.update_in_flight()
    group.take([StreamMessage(seq, "", b"", b"x", 0, 1) for seq in (1, 2, 3)])
    assert group.update_in_flight()
    assert RangeSet.decode(group.record().flight).count == 1
    assert 7 in RangeSet.decode(group.record().flight)
    group.take([StreamMessage(9, "", b"", b"x", 0, 1)])  # 7 no longer exists
    assert group.update_in_flight()
    assert RangeSet.decode(group.record().flight).count == 0

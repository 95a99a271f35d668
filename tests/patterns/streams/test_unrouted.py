"""Messages that no known group wants: the grace for first contact, and their return."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from colugo import KeptMessage, Node
from colugo.patterns.streams import unrouted
from tests.support.essentials import Collector, run, until
from tests.support.scheduling import Disk, OwnTimeLoop, Producer
from tests.support.streaming import drained


@pytest.fixture
def loop() -> Iterator[OwnTimeLoop]:
    loop = OwnTimeLoop()
    yield loop
    loop.close()


# --- the grace


def test_a_message_that_no_known_group_wants_is_returned_when_the_grace_ends(loop: OwnTimeLoop) -> None:
    producer = Producer(loop, grace_s=2.0)
    producer.join("own", b"a", ("own.#",))
    producer.send(key="other.x")
    producer.pass_time(1.9)
    assert (producer.returned, list(producer.disk._messages)) == ([], [1])
    producer.pass_time(0.2)
    assert (producer.returned, list(producer.disk._messages)) == ([1], [])
    assert producer.scheduler.groups.retention.unrouted == 1
    producer.end()


def test_later_ones_are_returned_as_soon_as_they_are_stored_also_while_a_group_is_away(
    loop: OwnTimeLoop,
) -> None:
    producer = Producer(loop, grace_s=2.0)
    producer.leave(producer.join("away", b"a", ("away",)), b"a")
    producer.pass_time(2.1)
    producer.send(key="away")
    producer.send(key="other")
    assert (producer.returned, list(producer.disk._messages)) == ([2], [1])
    producer.end()


def test_without_any_group_messages_are_returned_too(loop: OwnTimeLoop) -> None:
    producer = Producer(loop, grace_s=0.0)
    producer.pass_time(0.1)
    producer.send(3)
    assert (producer.returned, list(producer.disk._messages)) == ([1, 2, 3], [])
    producer.end()


@pytest.mark.parametrize("durable", [True, False])
def test_a_group_that_becomes_known_in_the_grace_gets_all_that_was_sent_since_the_start(
    loop: OwnTimeLoop, *, durable: bool
) -> None:
    producer = Producer(loop, grace_s=2.0)
    first = producer.join("first", b"a", ("x",))
    producer.send(key="x")
    producer.send(key="y")
    producer.acknowledge(first, 1, 1)
    producer.pass_time(1.0)
    second = producer.join("second", b"b", durable=durable)
    assert producer.got == [(b"a", 1, False), (b"b", 1, False), (b"b", 2, False)]
    producer.acknowledge(second, 1, 2)
    producer.pass_time(1.1)
    assert (producer.returned, list(producer.disk._messages)) == ([], [])
    producer.end()


def test_a_group_that_is_not_durable_gets_nothing_of_before_the_restart(loop: OwnTimeLoop) -> None:
    producer = Producer(loop, grace_s=2.0)
    producer.leave(producer.join("away", b"a"), b"a")
    producer.send()
    again = producer.restarted()
    again.join("passing", b"b", durable=False)
    again.send()
    assert again.got == [(b"b", 2, False)]
    again.end()


def test_a_message_acknowledged_in_the_grace_is_deleted_at_its_end_and_not_returned(
    loop: OwnTimeLoop,
) -> None:
    producer = Producer(loop, grace_s=2.0)
    passing = producer.join("passing", b"a", durable=False)
    producer.send()
    producer.acknowledge(passing, 1, 1)
    producer.leave(passing, b"a", lost=False)
    assert (list(producer.scheduler.groups.known), list(producer.disk._messages)) == ([], [1])
    producer.pass_time(2.1)
    assert (producer.returned, list(producer.disk._messages)) == ([], [])
    producer.end()


def test_with_ack_any_a_message_that_one_group_has_handled_is_for_no_other(loop: OwnTimeLoop) -> None:
    producer = Producer(loop, ack="any", grace_s=2.0)
    first = producer.join("first", b"a", ("x",))
    producer.send(key="x")
    producer.send(key="y")
    producer.acknowledge(first, 1, 1)
    second = producer.join("second", b"b")
    assert producer.got[1:] == [(b"b", 2, False)]
    producer.leave(second, b"b")
    producer.do(lambda: producer.scheduler.groups.forget("second"))
    producer.pass_time(2.1)
    assert (producer.returned, list(producer.disk._messages)) == ([2], [])
    producer.end()


# --- ends and failures


def test_a_message_of_a_run_that_ended_in_the_grace_is_returned_by_the_next_one(loop: OwnTimeLoop) -> None:
    producer = Producer(loop, grace_s=2.0)
    own = producer.join("own", b"a", ("own",))
    producer.send(key="own")
    producer.send(key="other")
    producer.acknowledge(own, 1, 1)
    producer.end()
    assert (producer.returned, list(producer.disk._messages)) == ([], [2])
    again = Producer(loop, producer.disk, grace_s=2.0)
    again.pass_time(2.1)
    assert (again.returned, list(again.disk._messages)) == ([2], [])
    again.end()


def test_messages_that_cannot_be_read_are_examined_again(
    loop: OwnTimeLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unrouted, "_PAGE", 2)
    disk = Disk()
    first = Producer(loop, disk)
    first.send(5)
    first.end()
    producer = Producer(loop, disk, grace_s=1.0)
    producer.failing = True
    producer.pass_time(1.5)
    assert producer.returned == []
    producer.failing = False
    producer.pass_time(1.0)
    assert (producer.returned, list(disk._messages)) == ([1, 2, 3, 4, 5], [])
    producer.end()


# --- streams


def test_the_callback_gets_the_message_with_id_key_and_headers(tmp_path: Path) -> None:
    async def main() -> None:
        async with Node("n") as node:
            returned = Collector()
            stream = node.add_stream(
                "bus", store=tmp_path / "bus.db", codec="json", unrouted_ms=20, on_unrouted=returned
            )
            own = node.add_consumer("bus", Collector(), group="own", bindings=["own.#"])
            await own.ready()
            sent = stream.send({"n": 1}, key="commands.x", headers={"reply_to": "own.y"})
            (message,) = await returned.reach(1)
            assert isinstance(message, KeptMessage)
            assert (message.id, message.key, message.message) == (sent, "commands.x", {"n": 1})
            assert (message.payload, message.headers) == (b'{"n":1}', {"reply_to": "own.y"})
            await drained(stream)
            assert stream.stats.unrouted == 1

    run(main())


def test_a_coroutine_that_raises_is_logged_and_the_next_messages_are_returned(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        async with Node("n") as node:
            keys: list[str] = []

            async def on_unrouted(message: KeptMessage) -> None:
                keys.append(message.key)
                raise RuntimeError("not now")

            stream = node.add_stream("bus", on_unrouted=on_unrouted)
            for key in ("a", "b"):
                await stream.send_wait("x", key=key)
            await until(lambda: keys == ["a", "b"])
            await drained(stream)
        assert "on_unrouted of bus raised" in caplog.text

    run(main())


def test_a_consumer_elsewhere_that_is_found_in_the_grace_gets_what_was_sent_before() -> None:
    async def main() -> None:
        async with Node("p") as p:
            returned, got = Collector(), Collector()
            stream = p.add_stream("bus", unrouted_ms=1000, on_unrouted=returned)
            own = p.add_consumer("bus", Collector(), group="own", bindings=["own.#"])
            await own.ready()
            await stream.send_wait("hello", key="commands.x")
            async with Node("c") as c:
                c.add_consumer("bus", got, group="other", bindings=["commands.#"])
                assert await got.reach(1) == ["hello"]
                await drained(stream)
            await asyncio.sleep(0)
            assert returned.items == []

    run(main())


def test_a_stream_in_memory_that_closes_in_the_grace_names_only_what_nobody_has_handled(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        async with Node("n") as node:
            stream = node.add_stream("bus", unrouted_ms=60_000)
            got = Collector()
            consumer = node.add_consumer("bus", got, group="g", bindings=["x"])
            await consumer.ready()
            stream.send("1", key="x")
            stream.send("2", key="y")
            await got.reach(1)
            await until(lambda: stream.groups["g"].done == 2)
            assert stream.stats.messages == 2
        assert "1 message not acknowledged by all groups: lost" in caplog.text

    run(main())

"""Streams: what is sent is kept until the consumer groups have acknowledged it."""

import asyncio
import logging
import threading
from collections import defaultdict
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from colugo import (
    ClosedError,
    ConfigurationError,
    Delivery,
    DuplicateTopicError,
    EncodeError,
    LifecycleError,
    MessageTooLargeError,
    Node,
    StreamFullError,
    exact,
)
from colugo.patterns.message_delivery import MessageDelivery
from tests.support.essentials import Collector, new_realm, run, seconds, until
from tests.support.streaming import drained


@pytest.fixture(params=["memory", "file"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Path | None:
    """Where the stream keeps its messages."""
    return None if request.param == "memory" else tmp_path / "jobs.db"


class Deliveries(Collector):
    """A callback of two parameters that keeps both."""

    def __call__(self, message: Any, delivery: Delivery) -> None:  # type: ignore[override]
        super().__call__((message, delivery))

    @property
    def messages(self) -> list[Any]:
        return [message for message, _ in self.items]


# --- what is promised


@pytest.mark.usefixtures("transport")
def test_what_was_sent_before_any_consumer_exists_arrives_when_one_comes(store: Path | None) -> None:
    async def main() -> None:
        async with Node("p") as p, Node("c") as c:
            stream = p.add_stream("jobs", store=store)
            sent = [await stream.send_wait(f"early {n}") for n in range(3)]
            assert len(set(sent)) == 3
            got = Deliveries()
            c.add_consumer("jobs", got, group="g")
            sent.append(stream.send("late"))
            await got.reach(4)
            await drained(stream)
            assert got.messages == ["early 0", "early 1", "early 2", "late"]
            assert [delivery.id for _, delivery in got.items] == sent
            assert {delivery.attempt for _, delivery in got.items} == {1}
            assert not any(delivery.redelivered for _, delivery in got.items)
            assert (stream.stats.messages, stream.stats.bytes, stream.stats.sent) == (0, 0, 4)

    run(main())


def test_a_delivery_tells_what_is_known_of_the_message(store: Path | None) -> None:
    async def main() -> None:
        async with Node("producer") as p, Node("c") as c:
            stream = p.add_stream("jobs", store=store, codec="json")
            got = Deliveries()
            c.add_consumer("jobs", got, codec="json")
            stream.send({"a": [1, 2.5, None]}, key="lab.door", headers={"trace": "x", "n": 7})
            ((message, delivery),) = await got.reach(1)
            assert message == {"a": [1, 2.5, None]}
            assert (delivery.key, delivery.headers) == ("lab.door", {"trace": "x", "n": 7})
            assert (delivery.topic, delivery.node) == ("jobs", "producer")
            assert delivery.sent_ns > 1_700_000_000_000_000_000

    run(main())


def test_str_arrives_as_str_and_bytes_as_bytes(store: Path | None) -> None:
    async def main() -> None:
        async with Node("n") as node:
            stream = node.add_stream("jobs", store=store)
            got = Collector()
            node.add_consumer("jobs", got)
            large = bytes(range(256)) * 4096
            for message in ("grün", b"\x00\xff", "", b"", large):
                stream.send(message)
            assert await got.reach(5) == ["grün", b"\x00\xff", "", b"", large]
            with pytest.raises(EncodeError, match="codec="):
                stream.send({"no": "codec"})

    run(main())


@pytest.mark.usefixtures("transport")
def test_each_group_gets_each_message_once_and_its_members_share_them(store: Path | None) -> None:
    async def main() -> None:
        async with Node("p") as p, Node("c") as c:
            stream = p.add_stream("jobs", store=store)
            got = {name: Collector() for name in ("a1", "a2", "a3", "b1")}
            for name, collector in got.items():
                consumer = c.add_consumer("jobs", collector, group=name[0], prefetch=10)
                await consumer.ready()
            for n in range(300):
                stream.send(str(n))
            await drained(stream)
            everything = [str(n) for n in range(300)]
            assert got["b1"].items == everything
            a = [got[name].items for name in ("a1", "a2", "a3")]
            assert sorted([*a[0], *a[1], *a[2]], key=int) == everything
            assert min(map(len, a)) >= 50

    run(main())


def test_a_durable_group_gets_what_was_sent_while_all_its_members_were_away(store: Path | None) -> None:
    async def main() -> None:
        async with Node("p") as p, Node("c") as c:
            stream = p.add_stream("jobs", store=store)
            got = Collector()
            first = c.add_consumer("jobs", got, group="g")
            await first.ready()
            stream.send("1")
            await drained(stream)
            first.close()
            await until(lambda: stream.consumers == 0)
            await stream.send_wait("2")
            await asyncio.sleep(0)
            assert stream.stats.messages == 1
            c.add_consumer("jobs", got, group="g")
            assert await got.reach(2) == ["1", "2"]
            await drained(stream)

    run(main())


def test_a_declared_group_gets_what_was_sent_before_it_was_ever_seen(store: Path | None) -> None:
    async def main() -> None:
        async with Node("p") as p, Node("c") as c:
            stream = p.add_stream("jobs", store=store, groups=["billing"])
            other = Collector()
            consumer = c.add_consumer("jobs", other, group="other")
            await consumer.ready()
            stream.send("x")
            await other.reach(1)
            await until(lambda: stream.groups["other"].acknowledged == 1)
            assert stream.stats.messages == 1
            late = Collector()
            c.add_consumer("jobs", late, group="billing")
            await drained(stream)
            assert late.items == ["x"]

    run(main())


def test_nothing_is_kept_for_a_group_without_a_name_that_has_left() -> None:
    async def main() -> None:
        async with Node("p") as p, Node("c") as c:
            stream = p.add_stream("jobs", groups=["kept"])
            got, kept = Collector(), Collector()
            alone = c.add_consumer("jobs", got)
            undurable = c.add_consumer("jobs", got, group="g", durable=False)
            c.add_consumer("jobs", kept, group="kept")
            await stream.ready(3)
            stream.send("1")
            await drained(stream)
            assert got.items == ["1", "1"]
            alone.close()
            undurable.close()
            await until(lambda: set(stream.groups) == {"kept"})
            stream.send("2")
            await drained(stream)
            assert (got.items, kept.items) == (["1", "1"], ["1", "2"])

    run(main())


def test_with_ack_any_one_acknowledgement_is_enough_and_without_a_consumer_a_message_waits(
    store: Path | None,
) -> None:
    async def main() -> None:
        async with Node("p") as p, Node("c") as c:
            stream = p.add_stream("jobs", store=store, ack="any", groups=["away"])
            await stream.send_wait("1")
            assert stream.stats.messages == 1
            got = Collector()
            c.add_consumer("jobs", got, group="g")
            await drained(stream)
            assert got.items == ["1"]
            late = Collector()
            await c.add_consumer("jobs", late, group="away").ready()
            stream.send("2")
            await drained(stream)
            await late.reach(1)
            assert late.items == ["2"]

    run(main())


def test_a_group_that_is_forgotten_holds_nothing_back(store: Path | None) -> None:
    async def main() -> None:
        async with Node("p") as p, Node("c") as c:
            stream = p.add_stream("jobs", store=store, groups=["gone", "here"])
            got = Collector()
            c.add_consumer("jobs", got, group="here")
            stream.send("x")
            await got.reach(1)
            await until(lambda: stream.groups["here"].acknowledged == 1)
            assert stream.stats.messages == 1
            assert stream.forget("gone")
            assert not stream.forget("never seen")
            await drained(stream)
            assert set(stream.groups) == {"here"}

    run(main())


# --- failures


@pytest.mark.parametrize("simple", [True, False])
def test_the_log_names_the_message_on_which_a_callback_has_raised(
    caplog: pytest.LogCaptureFixture, *, simple: bool
) -> None:
    def fail(_: str) -> None:
        raise ValueError("cannot do this")

    def fail_too(message: str, _: Delivery) -> None:
        fail(message)

    async def main() -> None:
        async with Node("n") as node:
            stream = node.add_stream("jobs", max_deliver=1)
            node.add_consumer("jobs", fail if simple else fail_too, group="g")
            sent = stream.send("bad")
            await drained(stream)
            said = [record.getMessage() for record in caplog.records if record.exc_info]
            assert said == [f"callback of the consumer of jobs raised at message {sent}, attempt 1"]

    run(main())


@pytest.mark.usefixtures("transport")
def test_what_a_callback_raises_on_is_tried_once_more_and_then_a_dead_letter(store: Path | None) -> None:
    seen: list[tuple[str, int, bool]] = []

    def fail(message: str, delivery: Delivery) -> None:
        seen.append((message, delivery.attempt, delivery.redelivered))
        if message == "bad":
            raise ValueError("cannot do this")

    async def main() -> None:
        async with Node("p") as p, Node("c") as c:
            stream = p.add_stream("jobs", store=store, retry_delay_ms=10)
            c.add_consumer("jobs", fail, group="g")
            sent = stream.send("bad", key="k", headers={"h": 1})
            stream.send("good")
            await drained(stream)
            assert [one for one in seen if one[0] == "bad"] == [("bad", 1, False), ("bad", 2, True)]
            (letter,) = await stream.dead_letters.find()
            assert (letter.id, letter.group, letter.key, letter.headers) == (sent, "g", "k", {"h": 1})
            assert (letter.message, letter.attempts) == ("bad", 2)
            assert letter.reason == "ValueError: cannot do this"
            assert "in fail" in letter.traceback
            assert (stream.stats.messages, stream.stats.dead, len(stream.dead_letters)) == (0, 1, 1)
            assert c.callback_errors == 2

    run(main())


def test_dead_letters_are_resurrected_by_filter_and_purged(store: Path | None) -> None:
    broken = True
    done = Collector()

    def work(message: str, delivery: Delivery) -> None:
        if broken:
            raise RuntimeError("broken")
        done((message, delivery.headers, delivery.attempt))

    async def main() -> None:
        nonlocal broken
        async with Node("p") as p, Node("c") as c:
            stream = p.add_stream("jobs", store=store, max_deliver=1)
            other = Collector()
            c.add_consumer("jobs", work, group="g")
            c.add_consumer("jobs", other, group="other")
            await stream.ready(2)
            ids = [stream.send(str(n), key=f"lab.{'even' if n % 2 == 0 else 'odd'}.{n}") for n in range(6)]
            await drained(stream)
            await other.reach(6)
            assert len(await stream.dead_letters.find()) == 6
            assert [one.id for one in await stream.dead_letters.find(key="lab.even.#")] == ids[::2]
            assert len(await stream.dead_letters.find(group="other")) == 0
            assert len(await stream.dead_letters.find(limit=2)) == 2
            with pytest.raises(ConfigurationError, match="not an id of this stream"):
                await stream.dead_letters.find(ids=["12"])
            broken = False
            assert await stream.dead_letters.purge(ids=ids[:1]) == 1
            assert await stream.dead_letters.resurrect(key="lab.even.*") == 2
            await drained(stream)
            first = {"colugo-first-id": ids[2]}
            assert done.items == [("2", first, 1), ("4", {"colugo-first-id": ids[4]}, 1)]
            assert len(other.items) == 6
            assert stream.stats.dead == 3
            assert await stream.dead_letters.resurrect(group="g") == 3
            await drained(stream)
            assert stream.stats.dead == 0
            assert len(done.items) == 5

    run(main())


def test_nack_gives_back_with_its_delay_and_reason() -> None:
    async def main() -> None:
        async with Node("n") as node:
            stream = node.add_stream("jobs", retry_delay_ms=60_000)
            seen = Collector()

            def work(message: str, delivery: Delivery) -> None:
                seen(delivery.attempt)
                delivery.nack("not now", delay_ms=0)
                with pytest.raises(LifecycleError, match="already"):
                    delivery.ack()

            consumer = node.add_consumer("jobs", work, group="g")
            stream.send("x")
            await drained(stream)
            assert seen.items == [1, 2]
            (letter,) = await stream.dead_letters.find()
            assert (letter.reason, letter.traceback) == ("not now", "")
            assert (consumer.stats.failed, consumer.stats.acknowledged) == (2, 0)

    run(main())


def test_a_delivery_fits_the_protocol_of_all_engines() -> None:
    async def main() -> None:
        async with Node("n") as node:
            stream = node.add_stream("jobs")
            seen: list[tuple[str, str, int, dict[str, Any]]] = []

            def work(message: str, delivery: MessageDelivery) -> None:
                seen.append((delivery.id, delivery.key, delivery.attempt, delivery.headers))
                delivery.working()
                (delivery.ack if delivery.attempt == 2 else partial(delivery.nack, delay_ms=0))()

            node.add_consumer("jobs", work)
            id_ = stream.send("x", "k", {"n": 1})
            await drained(stream)
            assert seen == [(id_, "k", attempt, {"n": 1}) for attempt in (1, 2)]

    fits: type[MessageDelivery] = Delivery  # mypy checks it
    assert fits is Delivery
    run(main())


def test_a_rejected_message_is_a_dead_letter_after_one_try(store: Path | None) -> None:
    async def main() -> None:
        async with Node("n") as node:
            stream = node.add_stream("jobs", store=store, max_deliver=10)
            seen = Collector()

            def work(message: str, delivery: Delivery) -> None:
                seen(delivery.attempt)
                delivery.reject("no such order")
                assert delivery.settled
                with pytest.raises(LifecycleError, match="already"):
                    delivery.reject("again")

            consumer = node.add_consumer("jobs", work, group="g")
            stream.send("x")
            await drained(stream)
            assert seen.items == [1]
            (letter,) = await stream.dead_letters.find()
            assert (letter.reason, letter.traceback, letter.attempts) == ("no such order", "", 1)
            assert (consumer.stats.failed, consumer.stats.acknowledged) == (1, 0)

    run(main())


def test_with_auto_ack_off_a_message_is_kept_until_it_is_acknowledged_from_any_thread() -> None:
    async def main() -> None:
        async with Node("n") as node:
            stream = node.add_stream("jobs")
            got = Deliveries()
            consumer = node.add_consumer("jobs", got, group="g", auto_ack=False, prefetch=2)
            for n in range(4):
                stream.send(str(n))
            await got.reach(2)
            await stream.send_wait("4")
            assert got.messages == ["0", "1"]
            assert stream.groups["g"].in_flight == 2
            thread = threading.Thread(target=got.items[1][1].ack)
            thread.start()
            await got.reach(3)
            thread.join()
            got.items[0][1].ack()
            await got.reach(4)
            assert consumer.stats.acknowledged == 2
            for _, delivery in got.items[2:]:
                delivery.ack()
            await got.reach(5)
            got.items[4][1].ack()
            await drained(stream)
            with pytest.raises(ConfigurationError, match="delivery"):
                node.add_consumer("jobs", lambda message: None, auto_ack=False)

    run(main())


def test_a_message_that_does_not_decode_is_said_and_becomes_a_dead_letter_with_its_bytes(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        async with Node("n") as node:
            stream = node.add_stream("jobs", retry_delay_ms=0)
            got = Collector()
            consumer = node.add_consumer("jobs", got, group="g", codec="json")
            bad = stream.send(b"{")
            stream.send(b"1")
            await drained(stream)
            assert got.items == [1]
            (letter,) = await stream.dead_letters.find()
            said = [record.getMessage() for record in caplog.records]
            assert sum(f"message {bad} of jobs does not decode" in text for text in said) == 1  # throttled
            assert any(
                f"message {bad} is a dead letter of the group 'g' after 2 tries" in text for text in said
            )
            assert letter.payload == b"{"
            assert "json" in letter.reason
            assert consumer.stats.undecodable == 2

    run(main())


def test_a_coroutine_that_never_returns_is_cancelled_and_its_message_redelivered() -> None:
    async def main() -> None:
        async with Node("n") as node:
            stream = node.add_stream("jobs", ack_timeout_ms=200)
            seen = Collector()

            async def work(message: str, delivery: Delivery) -> None:
                seen((message, delivery.attempt, delivery.redelivered))
                if message == "hang" and delivery.attempt == 1:
                    await asyncio.Event().wait()

            node.add_consumer("jobs", work, group="g")
            stream.send("hang")
            stream.send("other")
            await drained(stream)
            assert sorted(seen.items) == [("hang", 1, False), ("hang", 2, True), ("other", 1, False)]
            assert stream.stats.dead == 0

    run(main())


def test_a_function_that_holds_the_loop_too_long_has_its_message_given_to_another_member() -> None:
    """In a process of its own it would be a thread: what counts is that it says nothing."""
    release = threading.Event()
    seen: list[tuple[str, str, int]] = []

    def hang(message: str, delivery: Delivery) -> None:
        seen.append(("stuck", message, delivery.attempt))
        release.wait(seconds(20))

    async def main() -> None:
        async with Node("p") as p, Node("c") as c:
            stream = p.add_stream("jobs", ack_timeout_ms=300)
            with Node("stuck").running() as stuck:
                stuck.add_consumer("jobs", hang, group="g")
                await stream.ready()
                for n in range(5):
                    stream.send(str(n))
                await until(lambda: seen)
                ok = Deliveries()
                c.add_consumer("jobs", ok, group="g")
                await drained(stream)
                assert sorted(ok.messages) == ["0", "1", "2", "3", "4"]
                assert {delivery.attempt for _, delivery in ok.items} == {2}
                assert stream.stats.dead == 0
                release.set()

    run(main())


def test_working_gives_more_time() -> None:
    async def main() -> None:
        async with Node("n") as node:
            stream = node.add_stream("jobs", ack_timeout_ms=500)
            seen = Collector()

            async def work(message: str, delivery: Delivery) -> None:
                seen(delivery.attempt)
                for _ in range(8):
                    await asyncio.sleep(0.1)
                    delivery.working()

            node.add_consumer("jobs", work, group="g")
            for _ in range(2):  # the second waits longer than ack_timeout_ms, too
                stream.send("long")
            await drained(stream)
            assert seen.items == [1, 1]

    run(main())


def test_a_consumer_that_closes_gives_back_what_it_has_not_begun() -> None:
    async def main() -> None:
        async with Node("n") as node:
            stream = node.add_stream("jobs")
            began = Collector()
            go = asyncio.Event()

            async def slow(message: str) -> None:
                began(message)
                await go.wait()

            first = node.add_consumer("jobs", slow, group="g")
            for n in range(20):
                stream.send(str(n))
            await began.reach(1)
            rest = Deliveries()
            node.add_consumer("jobs", rest, group="g")
            await stream.ready(2)
            first.close()
            await drained(stream)
            assert sorted(map(int, rest.messages)) == list(range(20))
            again = {message: delivery.attempt for message, delivery in rest.items}
            assert again.pop("0") == 2
            assert set(again.values()) == {1}

    run(main())


# --- order and work side by side


def test_messages_of_a_key_are_handled_in_order_and_by_one_member_at_a_time(store: Path | None) -> None:
    async def main() -> None:
        async with Node("p") as p, Node("c") as c:
            stream = p.add_stream("jobs", store=store)
            seen: dict[str, list[int]] = defaultdict(list)
            busy: set[str] = set()

            async def work(message: str, delivery: Delivery) -> None:
                assert delivery.key not in busy
                busy.add(delivery.key)
                await asyncio.sleep(0)
                seen[delivery.key].append(int(message))
                busy.discard(delivery.key)

            for _ in range(3):
                c.add_consumer("jobs", work, group="g", prefetch=7, concurrency=4)
            await stream.ready(3)
            for n in range(600):
                stream.send(str(n), key=f"key{n % 11}")
            await drained(stream)
            assert {key: sorted(numbers) for key, numbers in seen.items()} == seen
            assert sum(map(len, seen.values())) == 600
            assert c.callback_errors == 0

    run(main())


def test_as_many_coroutines_run_at_a_time_as_concurrency_says() -> None:
    async def main() -> None:
        async with Node("n") as node:
            stream = node.add_stream("jobs")
            running = most = 0
            enough = asyncio.Event()

            async def work(message: str) -> None:
                nonlocal running, most
                running += 1
                most = max(most, running)
                if running == 5:
                    enough.set()
                await enough.wait()
                running -= 1

            node.add_consumer("jobs", work, concurrency=5)
            for n in range(50):
                stream.send(str(n))
            await drained(stream)
            assert most == 5
            with pytest.raises(ConfigurationError, match="executor"):
                node.add_consumer("jobs", lambda message: None, concurrency=2)

    run(main())


def test_an_executor_handles_on_threads_of_its_own() -> None:
    async def main() -> None:
        async with Node("n") as node:
            stream = node.add_stream("jobs", retry_delay_ms=0)
            threads = Collector()
            both = threading.Barrier(2, timeout=seconds(10))

            def work(message: str, delivery: Delivery) -> None:
                if message in "ab":
                    both.wait()
                threads(threading.current_thread())
                if message == "bad" and delivery.attempt == 1:
                    raise ValueError

            node.add_consumer("jobs", work, group="g", executor=True, concurrency=2)
            for message in ("a", "b", "bad"):
                stream.send(message)
            await drained(stream)
            assert threading.main_thread() not in threads.items
            assert len(set(threads.items)) == 2
            assert len(threads.items) == 4

    run(main())


def test_a_plain_function_may_return_an_awaitable() -> None:
    async def main() -> None:
        async with Node("n") as node:
            stream = node.add_stream("jobs")
            done = Collector()

            async def later(message: str) -> None:
                await asyncio.sleep(0)
                done(message)

            node.add_consumer("jobs", lambda message: later(message.upper()))
            stream.send("x")
            await drained(stream)
            assert done.items == ["X"]

    run(main())


def test_keys_are_matched_by_the_rules_of_rabbitmq_and_exactly(store: Path | None) -> None:
    keys = ["lab", "lab.door", "lab.door.open", "hall.door", "", "lab.*", "a b"]

    async def main() -> None:
        async with Node("p") as p, Node("c") as c:
            stream = p.add_stream("jobs", store=store)
            wanted = {
                "all": ("#",),
                "lab": ("lab.#",),
                "one": ("*.door", exact("a b")),
                "literal": (exact("lab.*"),),
            }
            got = {name: Collector() for name in wanted}
            for name, bindings in wanted.items():
                c.add_consumer("jobs", got[name], group=name, bindings=bindings)
            await stream.ready(len(wanted))
            for key in keys:
                stream.send(key, key=key)
            await drained(stream)
            assert got["all"].items == keys
            assert got["lab"].items == ["lab", "lab.door", "lab.door.open", "lab.*"]
            assert got["one"].items == ["lab.door", "hall.door", "a b"]
            assert got["literal"].items == ["lab.*"]
            assert stream.stats.unrouted == 0

    run(main())


def test_what_no_known_group_wants_is_counted_as_unrouted() -> None:
    async def main() -> None:
        async with Node("n") as node:
            stream = node.add_stream("jobs")
            await node.add_consumer("jobs", lambda message: None, group="g", bindings=["a.#"]).ready()
            stream.send("x", key="b")
            stream.send("y", key="a.b")
            await drained(stream)
            assert stream.stats.unrouted == 1

    run(main())


# --- restarts


def test_what_was_not_acknowledged_is_delivered_on_after_a_restart_with_the_same_store(
    tmp_path: Path,
) -> None:
    path = tmp_path / "jobs.db"

    async def main() -> None:
        got = Deliveries()
        async with Node("p") as p:
            stream = p.add_stream("jobs", store=path)
            held = Deliveries()
            p.add_consumer("jobs", held, group="g", auto_ack=False, prefetch=3)
            ids = [await stream.send_wait(str(n)) for n in range(10)]
            await held.reach(3)
            held.items[1][1].ack()
            await held.reach(4)
        async with Node("p again") as p:
            stream = p.add_stream("jobs", store=path)
            assert stream.stats.messages == 9
            p.add_consumer("jobs", got, group="g")
            new = stream.send("10")
            await drained(stream)
            assert sorted(got.messages, key=int) == ["0", *map(str, range(2, 11))]
            assert {delivery.id for _, delivery in got.items} == {ids[0], *ids[2:], new}
            flagged = {message for message, delivery in got.items if delivery.redelivered}
            assert {"0", "2", "3"} <= flagged
            assert "10" not in flagged

    run(main())


@pytest.mark.slow
def test_a_message_that_is_in_flight_at_each_restart_of_the_producer_does_not_live_for_ever(
    tmp_path: Path,
) -> None:
    async def main() -> None:
        for _ in range(6):
            async with Node("p") as p:
                stream = p.add_stream("jobs", store=tmp_path / "jobs.db")
                if not stream.stats.messages and not stream.stats.sent and not stream.stats.dead:
                    await stream.send_wait("poison")
                if stream.stats.dead:
                    return
                held = Deliveries()
                p.add_consumer("jobs", held, group="g", auto_ack=False)
                await until(lambda held=held, stream=stream: held.items or stream.stats.dead)  # type: ignore[misc]
                if held.items:
                    await stream._scheduler.writer.synced()
                    await asyncio.sleep(0.3)  # longer than it takes until the store knows what is in flight
        pytest.fail("it has been handed out again at each restart")

    run(main(), within=40)


# --- limits


def test_a_full_stream_rejects_until_something_has_been_acknowledged(store: Path | None) -> None:
    async def main() -> None:
        async with Node("n") as node:
            stream = node.add_stream("jobs", store=store, max_messages=10)
            for n in range(10):
                stream.send(str(n))
            with pytest.raises(StreamFullError, match="max_messages is 10"):
                stream.send("one too many")
            with pytest.raises(StreamFullError):
                await stream.send_wait("one too many")
            got = Collector()
            node.add_consumer("jobs", got, group="g")
            await drained(stream)
            await stream.send_wait("10")
            await drained(stream)
            assert got.items == [str(n) for n in range(11)]
            assert (stream.stats.rejected, stream.stats.dropped) == (2, 0)

    run(main())


@pytest.mark.parametrize("limit", [{"max_messages": 10}, {"max_bytes": 20}])
def test_a_stream_that_waits_takes_messages_when_there_is_room_in_their_order(
    store: Path | None, limit: dict[str, Any]
) -> None:
    async def main() -> None:
        async with Node("n") as node:
            stream = node.add_stream("jobs", store=store, full="wait", **limit)
            sending = [asyncio.ensure_future(stream.send_wait(f"{n:02}")) for n in range(100)]
            await asyncio.gather(*sending[:10])
            with pytest.raises(
                StreamFullError, match=f"{next(iter(limit))} {'is ' * ('max_m' in str(limit))}"
            ):
                stream.send("xx")
            assert sum(one.done() for one in sending) == 10
            got = Collector()
            node.add_consumer("jobs", got, group="g")
            await asyncio.wait_for(asyncio.gather(*sending), seconds(20))
            await drained(stream)
            assert got.items == [f"{n:02}" for n in range(100)]
            assert (stream.stats.rejected, stream.stats.dropped) == (1, 0)

    run(main())


def test_who_waits_for_room_can_be_cancelled_and_learns_of_the_end() -> None:
    async def main() -> None:
        async with Node("n") as node:
            stream = node.add_stream("jobs", max_messages=1, full="wait")
            await stream.send_wait("0")
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await stream.send_wait("never taken")
            with pytest.raises(StreamFullError, match="max_bytes"):  # it will never have room
                await node.add_stream("small", max_bytes=10, full="wait").send_wait("x" * 9, key="yy")
            waiting = [asyncio.ensure_future(stream.send_wait(str(n))) for n in (1, 2, 3)]
            got = Collector()
            consumer = node.add_consumer("jobs", got, group="g", prefetch=1)
            assert await got.reach(4) == ["0", "1", "2", "3"]
            await asyncio.gather(*waiting)
            consumer.close()
            await drained(stream)
            last = [asyncio.ensure_future(stream.send_wait(str(n))) for n in (4, 5, 6)]
            await last[0]
            stream.close()
            for one in last[1:]:
                with pytest.raises(ClosedError):
                    await asyncio.wait_for(one, seconds(5))

    run(main())


def test_who_waits_for_room_that_dead_letters_have_is_told_so(caplog: pytest.LogCaptureFixture) -> None:
    def fail(message: str) -> None:
        if message == "bad":
            raise ValueError(message)

    async def main() -> None:
        async with Node("n") as node:
            stream = node.add_stream("jobs", max_messages=1, max_deliver=1, full="wait")
            node.add_consumer("jobs", fail, group="g")
            await stream.send_wait("bad")
            await until(lambda: stream.stats.dead == 1)
            waiting = asyncio.ensure_future(stream.send_wait("good"))
            await until(lambda: "dead letters fill the stream" in caplog.text)
            assert await stream.dead_letters.purge() == 1
            await asyncio.wait_for(waiting, seconds(5))
            await drained(stream)

    run(main())


def test_a_stream_that_drops_the_oldest_counts_them(store: Path | None) -> None:
    async def main() -> None:
        async with Node("n") as node:
            stream = node.add_stream("jobs", store=store, max_bytes=1000, full="drop-oldest")
            for n in range(30):
                await stream.send_wait(f"{n:100}")
            assert stream.stats.messages == 10
            assert stream.stats.dropped == 20
            got = Collector()
            node.add_consumer("jobs", got, group="g")
            await drained(stream)
            assert [int(message) for message in got.items] == list(range(20, 30))

    run(main())


def test_a_message_that_is_too_old_expires_and_is_counted(store: Path | None) -> None:
    async def main() -> None:
        async with Node("n") as node:
            stream = node.add_stream("jobs", store=store, max_age_ms=100)
            await stream.send_wait("old")
            await drained(stream)
            assert (stream.stats.expired, stream.stats.dropped) == (1, 0)
            got = Collector()
            node.add_consumer("jobs", got, group="g")
            await until(lambda: stream.consumers == 1)
            stream.send("new")
            assert await got.reach(1) == ["new"]

    run(main())


def test_what_is_over_the_limits_is_refused_with_the_reason() -> None:
    async def main() -> None:
        async with Node("n", max_message_bytes=10_000) as node:
            stream = node.add_stream("jobs", max_bytes=5000)
            with pytest.raises(MessageTooLargeError, match="5000"):
                stream.send(bytes(5001))
            with pytest.raises(ConfigurationError, match="255"):
                stream.send("x", key="k" * 256)
            with pytest.raises(ConfigurationError, match="str"):
                stream.send("x", key=7)  # type: ignore[arg-type]
            with pytest.raises(EncodeError, match="headers"):
                stream.send("x", headers={"large": "x" * 70_000})
            assert stream.stats.sent == 0
            with pytest.raises(DuplicateTopicError):
                node.add_stream("jobs")
            wrong: dict[str, Any]
            for wrong in (
                {"ack": "some"},
                {"full": "block"},
                {"order": "strict"},
                {"unrouted_ms": -1},
                {"on_unrouted": "a function"},
                {"max_messages": 0},
                {"max_deliver": 0},
                {"groups": "billing"},
                {"groups": [""]},
                {"store": ""},
                {"ack_timeout_ms": 0},
                {"ack_timeout_ms": 0.5},
                {"ack_timeout_ms": float("inf")},
                {"ack_timeout_ms": 2**53},
                {"retry_delay_ms": -1},
                {"max_age_ms": -1},
                {"durability": "none"},
            ):
                with pytest.raises(
                    ConfigurationError, match=r"group" if "groups" in wrong else next(iter(wrong))
                ):
                    node.add_stream("other", **wrong)
            for wrong in (
                {"prefetch": 0},
                {"prefetch": 70_000},
                {"group": "\n"},
                {"bindings": "a"},
                {"bindings": []},
            ):
                with pytest.raises(ConfigurationError):
                    node.add_consumer("jobs", lambda message: None, **wrong)

    run(main())


# --- life


def test_a_stream_takes_messages_before_the_start_and_from_any_thread(store: Path | None) -> None:
    async def main() -> None:
        node = Node("n")
        stream = node.add_stream("jobs", store=store)
        got = Collector()
        node.add_consumer("jobs", got, group="g")
        ids = [stream.send(f"before {n}") for n in range(3)]

        def send_many(name: str) -> None:
            ids.extend([stream.send(f"{name} {n}") for n in range(200)])

        async with node:
            threads = [threading.Thread(target=send_many, args=(name,)) for name in "ab"]
            for thread in threads:
                thread.start()
            await got.reach(403)
            for thread in threads:
                thread.join()
            await drained(stream)
            assert len(set(ids)) == 403
            for name in "ab":
                mine = [message for message in got.items if message.startswith(name + " ")]
                assert mine == [f"{name} {n}" for n in range(200)]

    run(main())


def test_who_waits_when_a_stream_closes_gets_an_error() -> None:
    async def main() -> None:
        async with Node("n") as node:
            stream = node.add_stream("jobs")
            stream.send("x")
            waits = [asyncio.ensure_future(one) for one in (stream.drained(), stream.ready())]
            await asyncio.sleep(0)
            stream.close()
            for wait in waits:
                with pytest.raises(ClosedError):
                    await wait
            with pytest.raises(ClosedError):
                stream.send("y")

    run(main())


def test_messages_that_go_with_a_stream_without_a_store_are_named_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        async with Node("n") as node:
            stream = node.add_stream("jobs")
            stream.send("1")
            stream.send("2")

    with caplog.at_level(logging.WARNING):
        run(main())
    assert "2 messages" in caplog.text


def test_a_consumer_finds_streams_of_several_nodes_and_one_given_by_its_endpoint() -> None:
    async def main() -> None:
        async with (
            Node("a") as a,
            Node("b") as b,
            Node("far", realm=new_realm()) as far,
            Node("c") as c,
        ):
            streams = [a.add_stream("jobs"), b.add_stream("jobs"), far.add_stream("jobs")]
            got = Deliveries()
            consumer = c.add_consumer("jobs", got, group="g", connect=streams[2].endpoints[:1])
            await consumer.ready(3)
            for stream in streams:
                stream.send("x")
            await got.reach(3)
            assert {delivery.node for _, delivery in got.items} >= {"a", "b"}
            for stream in streams:
                await drained(stream)

    run(main())

"""Peers that leave, break off, come back or are replaced, at the worst moments."""

import asyncio
import dataclasses
import errno
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
import zmq
import zmq.asyncio

from colugo import ConfigurationError, DuplicateTopicError, FlowError, LifecycleError, Node, RequestError
from colugo.net.addresses.endpoint_choice import EndpointChoice
from colugo.net.addresses.interfaces import Scope
from colugo.net.directory import DirectoryChange, DirectoryEvent
from colugo.net.mdns.mdns_directory import MdnsDirectory
from colugo.testing import Network
from tests.support.essentials import Collector, Program, is_free, new_realm, run, seconds, until, wait_until
from tests.support.plain import plain_context
from tests.support.tcp_cable import TcpCable


def port_of(part: object) -> int:
    return int(part.endpoints[0].rsplit(":", 1)[1])  # type: ignore[attr-defined]


@pytest.mark.usefixtures("transport")
def test_one_that_is_ready_sends_and_leaves_at_once_loses_nothing() -> None:
    async def main() -> None:
        async with Node("reader") as reader:
            received = Collector()
            reader.add_subscriber("t.#", received)
            for number in range(20):
                async with Node("brief") as brief:
                    publisher = brief.add_publisher(f"t.{number}")
                    await publisher.ready()
                    for message in range(50):
                        publisher.send(f"{number} {message}")
            expected = [f"{number} {message}" for number in range(20) for message in range(50)]
            assert sorted(await received.reach(1000)) == sorted(expected)

    run(main())


@pytest.mark.usefixtures("transport")
def test_a_slow_callback_still_gets_what_was_sent_before_the_publisher_left() -> None:
    async def main() -> None:
        async with Node("reader") as reader:
            received: list[str] = []
            gone = asyncio.Event()

            def slow(message: str) -> None:
                received.append(message)
                hold = asyncio.get_running_loop().time() + 0.001
                while asyncio.get_running_loop().time() < hold:
                    pass

            reader.add_subscriber("t", slow, on_disconnect=gone.set)
            async with Node("brief") as brief:
                publisher = brief.add_publisher("t")
                await publisher.ready()
                for message in range(1000):
                    publisher.send(str(message))
            async with asyncio.timeout(seconds(15)):
                await gone.wait()
            assert received == [str(message) for message in range(1000)]

    run(main())


@pytest.mark.usefixtures("transport")
def test_replies_that_were_sent_before_the_server_left_all_arrive() -> None:
    async def main() -> None:
        async with Node("client") as asker:
            client = asker.add_request_client("t")
            async with Node("server") as server:
                replier = server.add_reply_server("t", lambda message: message)
                await client.ready()
                waiting = [asyncio.create_task(client.request(str(number), 10_000)) for number in range(500)]
                await until(lambda: replier.stats.replies == 500)
            assert await asyncio.gather(*waiting) == [str(number) for number in range(500)]

    run(main())


def test_a_connection_that_is_cut_again_and_again_is_noticed_and_comes_back_each_time() -> None:
    async def main() -> None:
        # the cable is one of tcp
        async with Node("source") as source, Network().node("reader", ipc=False) as reader:
            events, messages = Collector(), Collector()
            publisher = source.add_publisher("t")
            cable = TcpCable(port_of(publisher))
            await cable.open()
            subscriber = reader.add_subscriber(
                "t", messages, lambda: events("up"), on_disconnect=lambda peer, reason: events(reason)
            )
            there = dataclasses.replace(publisher._binding.advertisement, port=cable.port)
            reader._runtime.registry.on_event(DirectoryEvent(DirectoryChange.UP, there))
            for times in (1, 2, 3):
                await events.reach(2 * times - 1)
                await publisher.ready()
                publisher.send(str(times))
                assert (await messages.reach(times))[-1] == str(times)
                await cable.cut()
                await events.reach(2 * times)
                assert subscriber.publishers == []
                await cable.open()
            assert (await events.reach(7)) == ["up", "lost", "up", "lost", "up", "lost", "up"]
            await cable.cut()

    run(main(), within=30)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_plain_publisher_is_told_up_and_lost_each_time_it_restarts(host: str) -> None:
    async def main() -> None:
        async with Node("reader") as reader, plain_context() as plain:
            events = Collector()
            first = plain.socket(zmq.XPUB)
            port = first.bind_to_random_port("tcp://127.0.0.1")
            reader.add_subscriber(
                "t",
                print,
                lambda: events("up"),
                on_disconnect=lambda peer, reason: events(reason),
                connect=[f"tcp://{host}:{port}"],
            )
            pub = first
            for times in (1, 2, 3):
                await events.reach(2 * times - 1)
                pub.close(0)
                await events.reach(2 * times)
                pub = plain.socket(zmq.XPUB)
                await until(lambda: bound(pub, port))  # noqa: B023 - awaited at once
            assert (await events.reach(7)) == ["up", "lost"] * 3 + ["up"]

    run(main(), within=30)


def bound(plain: zmq.asyncio.Socket, port: int) -> bool:
    try:
        plain.bind(f"tcp://127.0.0.1:{port}")
    except zmq.ZMQError:
        return False
    return True


@pytest.mark.usefixtures("transport")
def test_what_a_publisher_sends_after_ready_on_the_port_of_its_predecessor_arrives() -> None:
    """The old connection leads to the new socket before the new advertisement has come."""

    async def main() -> None:
        async with Node("reader") as reader:
            received = Collector()
            subscriber = reader.add_subscriber("t", received)
            first = Node("first")
            async with first:
                port = port_of(first.add_publisher("t"))
                await subscriber.ready()
            await until(lambda: is_free(port))
            second = Node("second")
            publisher = second.add_publisher("t", port=port)
            async with second:
                await publisher.ready()
                for number in range(200):
                    publisher.send(str(number))
                assert await received.reach(200) == [str(number) for number in range(200)]
            assert subscriber.stats.unknown == 0

    run(main())


@pytest.mark.slow
def test_what_comes_under_an_id_that_is_never_advertised_is_counted_and_not_kept() -> None:
    async def main() -> None:
        async with Network().node("reader") as reader, Node("other", realm=new_realm()) as other:
            subscriber = reader.add_subscriber("t", print)
            publisher = other.add_publisher("another.topic")
            stale = dataclasses.replace(
                publisher._binding.advertisement, socket_id=b"old one!", topic="t", realm=reader.realm
            )
            reader._runtime.registry.on_event(DirectoryEvent(DirectoryChange.UP, stale))
            await publisher.ready()
            for _ in range(100):
                publisher.send(b"x" * 100_000)
            await until(lambda: subscriber.stats.unknown > 0)
            links = subscriber._receiver.links
            assert 0 < links._early.bytes <= 4 * 1024 * 1024
            await until(lambda: subscriber.stats.unknown == 100, within=15)
            assert links._early.bytes == 0
            assert not links._early

    run(main())


def test_withdrawn_and_advertised_again_a_connected_peer_stays() -> None:
    async def main() -> None:
        network = Network()
        async with network.node("server") as server, network.node("client") as asker:
            publisher = server.add_publisher("p")
            replier = server.add_reply_server("r", lambda message: message)
            events = Collector()
            subscriber = asker.add_subscriber("p", on_disconnect=lambda peer, reason: events(reason))
            client = asker.add_request_client("r", on_disconnect=lambda peer, reason: events(reason))
            await subscriber.ready()
            await client.ready()
            registry = asker._runtime.registry
            for part in (publisher, replier):
                registry.on_event(DirectoryEvent(DirectoryChange.DOWN, part._binding.advertisement))
            assert client.servers == []
            waiting = asyncio.create_task(client.request("x", 10_000))
            await until(lambda: client.stats.pending == 1)
            for part in (publisher, replier):
                registry.on_event(DirectoryEvent(DirectoryChange.UP, part._binding.advertisement))
            assert await waiting == "x"
            publisher.send("y")
            assert await anext(subscriber) == "y"
            assert events.items == []

    run(main())


@pytest.mark.parametrize("withdrawn", [False, True])
def test_a_publisher_that_moves_again_or_goes_while_its_reader_reads_is_sought_where_it_is_now(
    withdrawn: bool,  # noqa: FBT001
) -> None:
    """The reader takes what it was sent before it leaves the place where the publisher was."""

    async def main() -> None:
        async with Node("sender", ipc=False) as sender, Node("reader", ipc=False) as reader:
            publisher = sender.add_publisher("t", flow="wait")
            subscriber = reader.add_subscriber("t", queue=1)
            await publisher.ready()
            sent = 0
            with suppress(FlowError):
                while True:
                    publisher.send(f"{sent}")
                    sent += 1
            assert await anext(subscriber) == "0"
            registry, there = reader._runtime.registry, publisher._binding.advertisement
            moved = dataclasses.replace(there, addresses=("127.0.0.2",))
            registry.on_event(DirectoryEvent(DirectoryChange.UP, moved))
            moved = dataclasses.replace(there, addresses=("127.0.0.3",))
            registry.on_event(DirectoryEvent(DirectoryChange.UP, moved))
            if withdrawn:
                registry.on_event(DirectoryEvent(DirectoryChange.DOWN, moved))
            links = subscriber._receiver.links
            assert [link.endpoint for link in links.all] == [f"tcp://127.0.0.1:{there.port}"]
            for number in range(1, sent):
                assert await anext(subscriber) == f"{number}"
            expected = [] if withdrawn else [f"tcp://127.0.0.3:{there.port}"]
            await until(lambda: [link.endpoint for link in links.all] == expected)

    run(main())


def test_a_server_that_said_goodbye_is_withdrawn_also_if_its_end_can_be_read_already(realm: str) -> None:
    """A loop that has been held for a while finds both at once."""

    async def main() -> None:
        party = ["-m", "tests.programs.party", '{"name": "other", "serve": ["r"]}']
        with Program(party, realm=realm) as other:
            async with Node("asker") as asker:
                told = Collector()
                client = asker.add_request_client("r", on_disconnect=lambda _, reason: told(reason))
                await client.ready()
                (link,) = client._links.all
                other.kill()
                assert link._connector._monitor.poll(round(seconds(5) * 1000))
                asker._runtime.registry.on_event(DirectoryEvent(DirectoryChange.DOWN, link.peer))
                assert await told.reach(1) == ["withdrawn"]

    run(main())


def test_a_request_that_timed_out_is_not_sent_to_a_server_that_wakes_up() -> None:
    async def main() -> None:
        async with Node("client") as asker, plain_context() as plain:
            rep = plain.socket(zmq.REP)
            rep.set(zmq.RCVHWM, 1)
            port = rep.bind_to_random_port("tcp://127.0.0.1")
            client = asker.add_request_client("t", connect=[f"tcp://127.0.0.1:{port}"])
            await client.ready()
            (link,) = client._links.connected
            results = await asyncio.gather(
                *(client.request("x" * 10_000, 300) for _ in range(5000)), return_exceptions=True
            )
            assert all(isinstance(result, TimeoutError) for result in results)
            assert not link._backlog

    run(main())


def test_a_callback_that_meets_a_cancelled_task_ends_neither_subscription_nor_server() -> None:
    async def main() -> None:
        async with Node("a") as a, Node("b") as b:
            handled = Collector()

            async def stumble(message: str) -> None:
                if message == "stumble":
                    task = asyncio.ensure_future(asyncio.sleep(0))
                    task.cancel()
                    await task
                handled(message)

            def plain(message: str) -> None:
                if message == "stumble":
                    raise asyncio.CancelledError
                handled(message)

            publisher = a.add_publisher("t")
            b.add_subscriber("t", stumble)
            b.add_subscriber("t", plain)
            b.add_reply_server("r", stumble)
            client = a.add_request_client("r")
            await publisher.ready(2)
            publisher.send("stumble")
            publisher.send("go on")
            assert await handled.reach(2) == ["go on", "go on"]
            with pytest.raises(RequestError, match="CancelledError"):
                await client.request("stumble")
            assert b.callback_errors == 3

    run(main())


def test_stop_before_the_start_from_another_thread_returns() -> None:
    node = Node("a")
    publisher = node.add_publisher("t")
    node.add_request_client("r")
    thread = threading.Thread(target=node.stop, daemon=True)
    thread.start()
    thread.join(seconds(5))
    assert not thread.is_alive()
    assert publisher.closed


def test_an_on_disconnect_that_closes_its_own_part_does_no_harm() -> None:
    async def main() -> None:
        async with Node("reader") as reader:
            gone = Collector()

            def close_subscriber() -> None:
                subscriber.close()
                gone(1)

            def close_client() -> None:
                client.close()
                gone(2)

            subscriber = reader.add_subscriber("t", print, on_disconnect=close_subscriber)
            client = reader.add_request_client("r", on_disconnect=close_client)
            async with Node("brief") as brief:
                brief.add_publisher("t")
                brief.add_reply_server("r", lambda message: message)
                await subscriber.ready()
                await client.ready()
            assert sorted(await gone.reach(2)) == [1, 2]
            assert reader.callback_errors == 0

    run(main())


def test_requests_of_other_threads_at_the_moment_of_the_stop_all_end() -> None:
    async def ask(client: object, results: list[object]) -> None:
        try:
            results.append(await client.request("x", 10_000))  # type: ignore[attr-defined]
        except (RequestError, RuntimeError) as error:
            results.append(error)

    for _ in range(10):
        results: list[object] = []
        with Node("server").running() as server, Node("client").running() as asker:
            server.add_reply_server("t", lambda message: message)
            client = asker.add_request_client("t")
            asker.run(client.ready(), timeout_ms=5000)
            threads = [threading.Thread(target=lambda: run(ask(client, results))) for _ in range(8)]  # noqa: B023 - ended below
            for thread in threads:
                thread.start()
        for thread in threads:
            thread.join(seconds(5))
        assert len(results) == 8


def test_run_that_times_out_does_not_eat_the_next_message() -> None:
    with Node("a").running() as node:
        publisher = node.add_publisher("t")
        subscriber = node.add_subscriber("t")
        node.run(publisher.ready(), timeout_ms=5000)
        with pytest.raises(TimeoutError):
            node.run(subscriber.__anext__(), timeout_ms=20)
        publisher.send("first")
        assert node.run(subscriber.__anext__(), timeout_ms=5000) == "first"


def test_awaiting_on_the_wrong_loop_is_an_error_that_names_run() -> None:
    with Node("a").running() as node:
        publisher, subscriber = node.add_publisher("t"), node.add_subscriber("t")
        for wait in (
            publisher.ready,
            subscriber.ready,
            subscriber.__anext__,
            node.add_request_client("r").ready,
        ):
            with pytest.raises(LifecycleError, match=r"node\.run"):
                run(wait())


def test_a_socket_that_is_added_and_closed_while_the_node_starts_leaves_no_ghost() -> None:
    async def main() -> None:
        async with Node("watcher") as watcher:
            node = Node("quick")
            added = [node.add_publisher(f"t{number}") for number in range(5)]
            opening = asyncio.create_task(node.__aenter__())
            await asyncio.sleep(0)
            added.append(node.add_publisher("while.opening"))
            added[0].close()
            added[-1].close()
            await opening
            await until(lambda: len(watcher.advertisements) >= 4)
            assert {one.topic for one in watcher.advertisements} == {"t1", "t2", "t3", "t4"}
            with pytest.raises(DuplicateTopicError):
                node.add_publisher("t1")
            await node.aclose()
            await until(lambda: not watcher.advertisements)

    run(main())


@pytest.mark.mdns
def test_after_a_goodbye_nothing_of_it_is_announced_again() -> None:
    async def main() -> None:
        ups: list[str] = []

        def note(event: DirectoryEvent) -> None:
            if event.change is DirectoryChange.UP and event.advertisement.node == "gone":
                ups.append(event.advertisement.topic)

        async with Node("gone") as node:
            node.add_publisher("stays")
            publisher = node.add_publisher("goes")
            watcher = Node("sees.it")
            watcher.add_subscriber("goes")
            async with watcher:
                await publisher.ready()
            publisher.close()
            await asyncio.to_thread(watch_for, note, 0.7)
        assert set(ups) == {"node", "stays"}

    run(main())


def watch_for(note: object, duration_s: float) -> None:
    """Watch mDNS on a loop of its own for longer than announcements are repeated (450 ms)."""

    async def main() -> None:
        directory = MdnsDirectory(Scope("host", ("127.0.0.1",), host_only=True))
        await directory.open(note)  # type: ignore[arg-type]
        done = asyncio.Event()
        asyncio.get_running_loop().call_later(duration_s, done.set)
        await done.wait()
        await directory.close()

    run(main())


@pytest.mark.parametrize("scope", [",", " , "])
def test_a_scope_of_nothing_is_refused(scope: str) -> None:
    with pytest.raises(ConfigurationError, match="names no interface"):
        Node("a", scope=scope)


@pytest.mark.parametrize(
    "endpoint", ["tcp://*:5000", "tcp://127.0.0.1:99999", "tcp://127.0.0.1:0", "tcp://:1"]
)
def test_an_endpoint_that_cannot_be_connected_to_is_refused(endpoint: str) -> None:
    async def main() -> None:
        async with Node("a") as node:
            with pytest.raises(ConfigurationError, match="connect="):
                node.add_subscriber("t", connect=[endpoint])

    run(main())


def test_a_reader_that_has_left_is_missed_though_a_beacon_takes_the_news_in() -> None:
    async def main() -> None:
        async with Node("a") as a, Node("b") as b:
            publisher = a.add_publisher("t")
            got = Collector()
            subscriber = b.add_subscriber("t", got)
            await publisher.ready()
            publisher.send("x")
            await got.reach(1)
            subscriber.close()
            writer: Any = publisher._writer
            # the loop is held until ZeroMQ has the news, and asking for them is what sending does besides
            assert wait_until(lambda: writer._socket.get(zmq.EVENTS) & zmq.POLLIN)
            writer.send_beacon()
            await until(lambda: publisher.subscribers == 0, within=5)

    run(main())


def test_whether_a_connection_is_back_is_asked_again_when_its_peer_has_been_sought(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def main() -> None:
        async with Node("a") as a, Node("b") as b:
            publisher = a.add_publisher("t")
            a.add_reply_server("t", str)
            links: Any = b.add_subscriber("t", print)._receiver.links
            connections: Any = b.add_request_client("t")._links
            await publisher.ready()
            await until(lambda: connections.connected)
            sought: list[Callable[[], bool]] = []

            def find(*_: object, connected: Callable[[], bool], **__: object) -> None:
                sought.append(connected)

            monkeypatch.setattr(EndpointChoice, "find", find)
            (link,), (connection,) = links.all, connections.all
            link.connected = False
            connections._usable.remove(connection)
            links._on_change(DirectoryChange.UP, link.peer)
            connections._on_change(DirectoryChange.UP, connection.peer)
            assert [connected() for connected in sought] == [False, False]
            link.connected = True
            connections._usable.append(connection)
            assert [connected() for connected in sought] == [True, True]

    run(main())


@pytest.mark.parametrize("framing", ["colugo", "raw"])
def test_a_subscriber_without_a_free_descriptor_connects_when_there_is_one(
    framing: str, monkeypatch: pytest.MonkeyPatch, colugo_network: Network
) -> None:
    async def main() -> None:
        async with colugo_network.node("a", ipc=False) as a, colugo_network.node("b", ipc=False) as b:
            failures = iter([zmq.ZMQError(errno.EMFILE)])
            make = b._runtime.sockets.xsub

            def xsub() -> zmq.Socket[bytes]:
                for failure in failures:
                    raise failure
                return make()

            monkeypatch.setattr(b._runtime.sockets, "xsub", xsub)
            asyncio.get_running_loop().set_exception_handler(lambda *_: None)
            publisher = a.add_publisher("t", framing=framing)
            subscriber = b.add_subscriber("t")
            await publisher.ready()
            await subscriber.ready()
            publisher.send("x")
            assert await anext(subscriber) in {"x", b"x"}

    run(main())

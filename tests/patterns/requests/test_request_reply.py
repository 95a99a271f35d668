"""Request/reply between real nodes on loopback."""

import asyncio
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import zmq

from colugo import (
    ClosedError,
    ConfigurationError,
    DecodeError,
    LifecycleError,
    Node,
    PeerLost,
    RemoteError,
    Reply,
    ReplyServer,
    RequestError,
    RequestTimeout,
)
from colugo.net.transport.socket_reader import SocketReader
from colugo.patterns.requests.reply_batches import ReplyBatches
from colugo.protocol.frames import NO_ID, FrameKind
from colugo.protocol.requests.calls import FLAG_REFUSED, FLAG_TEXT, Call, decode_calls, encode_calls
from tests.support.essentials import Collector, Program, run, seconds, until

TOLERANCE = 0.05
"""Seconds by which a timeout, or the report of a killed server, may be late. The best of a few rounds
counts, since another process may have the processor for a moment."""


def test_a_function_of_one_argument_returns_the_reply() -> None:
    async def main() -> None:
        async with Node("server") as server, Node("client") as asker:
            server.add_reply_server("double", lambda message: message * 2)
            client = asker.add_request_client("double")
            assert await client.request("ab") == "abab"
            assert await client.request(b"\x00") == b"\x00\x00"

    run(main())


def test_a_coroutine_function_returns_the_reply() -> None:
    async def main() -> None:
        async def double(message: str) -> str:
            await asyncio.sleep(0)
            return message * 2

        async with Node("server") as server, Node("client") as asker:
            server.add_reply_server("double", double)
            assert await asker.add_request_client("double").request("ab") == "abab"

    run(main())


def test_objects_travel_by_codec() -> None:
    async def main() -> None:
        async with Node("server") as server, Node("client") as asker:
            server.add_reply_server("sum", sum, codec="json")
            assert await asker.add_request_client("sum", codec="json").request([1, 2, 3]) == 6

    run(main())


def test_callbacks_get_reply_timeout_and_error() -> None:
    async def main() -> None:
        def answer(message: str, reply: Reply) -> None:
            if message == "raise":
                raise KeyError("no such thing")
            if message != "silent":
                reply(message)

        async with Node("server") as server, Node("client") as asker:
            server.add_reply_server("t", answer)
            client = asker.add_request_client("t")
            replies, timeouts, errors = Collector(), Collector(), Collector()
            client.send("hello", replies, timeout_handler=timeouts, error_handler=errors)
            client.send("silent", replies, timeout=50, timeout_handler=timeouts, error_handler=errors)
            client.send("raise", replies, timeout_handler=timeouts, error_handler=errors)
            client.send("ignored")
            assert await replies.reach(1) == ["hello"]
            assert isinstance((await timeouts.reach(1))[0], RequestTimeout)
            assert isinstance((await errors.reach(1))[0], RemoteError)
            await until(lambda: client.stats.replies == 3)
            assert len(replies.items) == len(timeouts.items) == len(errors.items) == 1

    run(main())


def test_without_an_error_handler_the_timeout_handler_hears_of_errors() -> None:
    async def main() -> None:
        def fail(message: str) -> str:
            raise ValueError(message)

        async with Node("server") as server, Node("client") as asker:
            server.add_reply_server("t", fail)
            called = asyncio.Event()
            asker.add_request_client("t").send("x", print, timeout_handler=called.set)
            async with asyncio.timeout(seconds(5)):
                await called.wait()

    run(main())


def test_a_thousand_requests_over_three_servers_each_get_their_own_reply_evenly() -> None:
    async def main() -> None:
        counts: Counter[str] = Counter()
        servers = [Node(f"s{number}") for number in range(3)]
        for server in servers:

            def answer(message: int, name: str = server.name) -> list[Any]:
                counts[name] += 1
                return [name, message]

            server.add_reply_server("t", answer, codec="json")
        async with servers[0], servers[1], servers[2], Node("client") as asker:
            client = asker.add_request_client("t", codec="json")
            await client.ready(3)
            replies = await asyncio.gather(*(client.request(number, 10_000) for number in range(1000)))
            assert [number for _, number in replies] == list(range(1000))
            assert sorted(counts.values()) == [333, 333, 334]
            assert client.stats.pending == 0

    run(main())


def test_least_outstanding_prefers_the_server_that_answers() -> None:
    async def main() -> None:
        held: list[Reply] = []
        async with Node("slow") as slow, Node("quick") as quick, Node("client") as asker:
            slow.add_reply_server("t", lambda message, reply: held.append(reply))
            quick.add_reply_server("t", lambda message: message)
            client = asker.add_request_client("t", balance="least-outstanding")
            await client.ready(2)
            stuck = asyncio.create_task(client.request("x", 10_000))
            await until(lambda: held or client.stats.replies)
            if not held:  # the first one went to the quick server
                assert await stuck == "x"
                stuck = asyncio.create_task(client.request("x", 10_000))
                await until(lambda: held)
            for _ in range(10):
                assert await client.request("y") == "y"
            held[0]("done")
            assert await stuck == "done"

    run(main())


def test_replies_may_come_out_of_order() -> None:
    async def main() -> None:
        held: list[tuple[str, Reply]] = []

        def hold(message: str, reply: Reply) -> None:
            held.append((message, reply))
            if len(held) == 10:
                for text, answer in reversed(held):
                    answer(text)

        async with Node("server") as server, Node("client") as asker:
            server.add_reply_server("t", hold)
            client = asker.add_request_client("t")
            order: list[str] = []

            async def ask(text: str) -> str:
                reply = await client.request(text)
                order.append(text)
                return str(reply)

            texts = [str(number) for number in range(10)]
            assert await asyncio.gather(*map(ask, texts)) == texts
            assert order == texts[::-1]

    run(main())


def test_a_reply_may_come_from_another_thread() -> None:
    async def main() -> None:
        async with Node("server") as server, Node("client") as asker:

            def answer(message: str, reply: Reply) -> None:
                threading.Thread(target=reply, args=(message,)).start()

            server.add_reply_server("t", answer)
            assert await asker.add_request_client("t").request("x") == "x"

    run(main())


def test_a_second_reply_is_an_error_for_the_server() -> None:
    async def main() -> None:
        raised = Collector()

        def twice(message: str, reply: Reply) -> None:
            reply(message)
            try:
                reply(message)
            except LifecycleError as error:
                raised(error)

        async with Node("server") as server, Node("client") as asker:
            server.add_reply_server("t", twice)
            assert await asker.add_request_client("t").request("x") == "x"
            assert "answered already" in str((await raised.reach(1))[0])

    run(main())


def test_each_unanswered_request_times_out_on_time_and_the_next_one_works() -> None:
    async def main() -> None:
        def answer(message: str, reply: Reply) -> None:
            if message == "answer":
                reply("yes")

        async with Node("server") as server, Node("client") as asker:
            server.add_reply_server("t", answer)
            client = asker.add_request_client("t")
            await client.ready()

            async def ask(timeout_ms: int) -> float:
                start = time.monotonic()
                with pytest.raises(RequestTimeout, match=f"within {timeout_ms} ms from .* of server"):
                    await client.request("silence", timeout_ms)
                return time.monotonic() - start - timeout_ms / 1000

            worst = []
            for _ in range(3):
                late = await asyncio.gather(*(ask(timeout_ms) for timeout_ms in range(50, 450, 20)))
                assert min(late) >= 0
                worst.append(max(late))
                assert await client.request("answer") == "yes"
            assert min(worst) < TOLERANCE
            assert client.stats.timeouts == 60

    run(main())


def test_a_late_reply_is_dropped_and_counted() -> None:
    async def main() -> None:
        held: list[Reply] = []
        async with Node("server") as server, Node("client") as asker:
            server.add_reply_server("t", lambda message, reply: held.append(reply))
            client = asker.add_request_client("t")
            with pytest.raises(RequestTimeout):
                await client.request("x", 50)
            held[0]("too late")
            await until(lambda: client.stats.late == 1)
            assert client.stats.replies == 0

    run(main())


def test_without_any_server_the_timeout_says_that_none_is_known() -> None:
    async def main() -> None:
        async with Node("client") as asker:
            client = asker.add_request_client("nobody.there")
            with pytest.raises(RequestTimeout, match=r"no server of 'nobody\.there' is known"):
                await client.request("x", 50)
            assert not client._sender._waiting

    run(main())


def test_a_request_waits_for_a_server_that_comes_later() -> None:
    async def main() -> None:
        async with Node("client") as asker:
            client = asker.add_request_client("t")
            waiting = asyncio.create_task(client.request("early", 10_000))
            await asyncio.sleep(0)
            async with Node("server") as server:
                server.add_reply_server("t", lambda message: f"{message} bird")
                assert await waiting == "early bird"

    run(main())


def test_requests_sent_before_the_start_go_out_when_the_node_runs() -> None:
    async def main() -> None:
        asker = Node("client")
        replies = Collector()
        asker.add_request_client("t").send("x", replies)
        async with asker, Node("server") as server:
            server.add_reply_server("t", lambda message: message)
            assert await replies.reach(1) == ["x"]

    run(main())


@pytest.mark.mdns
def test_an_idle_connected_client_does_not_look_at_its_socket_again_and_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def main() -> None:
        async with Node("server") as server, Node("client") as asker:
            server.add_reply_server("t", lambda message: message)
            assert await asker.add_request_client("t").request("x") == "x"
            drains = 0
            drain = SocketReader._drain

            def counted(reader: SocketReader) -> None:
                nonlocal drains
                drains += 1
                drain(reader)

            monkeypatch.setattr(SocketReader, "_drain", counted)
            turns = 0
            async with asyncio.timeout(seconds(5)):
                while turns < 1000:
                    await asyncio.sleep(0)
                    turns += 1
            assert drains < 20

    run(main())


SERVER = """
from colugo import Node
node = Node("victim")
node.add_reply_server("t", lambda message, reply: reply("here") if message == "ping" else None)
node.start()
"""


@pytest.mark.usefixtures("transport")
def test_a_killed_server_fails_its_requests_at_once_and_its_restart_serves(realm: str) -> None:
    async def main() -> None:
        async with Node("client") as asker:
            gone = Collector()
            client = asker.add_request_client("t", on_disconnect=lambda peer, reason: gone(reason))
            took = []
            for _ in range(3):
                with Program(["-c", SERVER], realm=realm) as victim:
                    assert await client.request("ping", 10_000) == "here"
                    waiting = [asyncio.create_task(client.request("silence", 10_000)) for _ in range(100)]
                    await until(lambda: client.stats.pending == 100)
                    os.kill(victim.pid, signal.SIGKILL)
                    killed = time.monotonic()
                    results = await asyncio.gather(*waiting, return_exceptions=True)
                    took.append(time.monotonic() - killed)
                assert all(isinstance(result, PeerLost) for result in results)
                assert "victim" in str(results[0])
            assert min(took) < TOLERANCE
            assert gone.items == ["lost"] * 3
            assert client.stats.lost == 300

    run(main(), within=40)


def test_a_server_that_stops_answers_what_it_can_and_the_others_go_on() -> None:
    async def main() -> None:
        async with Node("client") as asker, Node("stays") as stays:
            client = asker.add_request_client("t")
            stays.add_reply_server("t", lambda message: "stays")
            async with Node("leaves") as leaves:
                leaves.add_reply_server("t", lambda message: "leaves")
                await client.ready(2)
                assert {await client.request("x") for _ in range(4)} == {"stays", "leaves"}
            for _ in range(10):
                assert await client.request("x") == "stays"
            assert client.stats.lost == 0

    run(main())


def test_an_exception_travels_back_with_type_and_text(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async def fail(message: str) -> str:
            raise KeyError(message)

        async with Node("server") as server, Node("client") as asker:
            server.add_reply_server("t", fail)
            with pytest.raises(RemoteError) as raised:
                await asker.add_request_client("t").request("x")
            assert (raised.value.type_name, raised.value.message) == ("KeyError", "'x'")
            assert server.callback_errors == 1

    run(main())
    assert "callback of t raised" in caplog.text


def test_a_return_value_that_cannot_be_sent_travels_back_as_the_error_it_is() -> None:
    async def main() -> None:
        async with Node("server") as server, Node("client") as asker:
            server.add_reply_server("t", lambda message: None)
            with pytest.raises(RemoteError, match="NoneType cannot be sent as it is"):
                await asker.add_request_client("t").request("x")

    run(main())


def test_a_reply_that_does_not_decode_fails_the_request_with_the_reason() -> None:
    async def main() -> None:
        async with Node("server") as server, Node("client") as asker:
            server.add_reply_server("t", lambda message: b"{")
            with pytest.raises(RequestError, match="does not decode") as raised:
                await asker.add_request_client("t", codec="json").request(1)
            assert isinstance(raised.value.__cause__, DecodeError)

    run(main())


def test_a_request_that_does_not_decode_travels_back_and_is_counted() -> None:
    async def main() -> None:
        async with Node("server") as server, Node("client") as asker:
            replier = server.add_reply_server("t", lambda message: message, codec="json")
            with pytest.raises(RemoteError, match="are not json"):
                await asker.add_request_client("t").request(b"{")
            assert replier.stats.undecodable == 1

    run(main())


def test_requests_in_flight_fail_when_their_own_node_stops() -> None:
    async def main() -> None:
        async with Node("server") as server:
            server.add_reply_server("t", lambda message, reply: None)
            async with Node("client") as asker:
                client = asker.add_request_client("t")
                await client.ready()
                waiting = asyncio.create_task(client.request("x", 60_000))
                await until(lambda: client.stats.pending == 1)
            with pytest.raises(RequestError, match="closed"):
                await waiting
            with pytest.raises(ClosedError):
                await client.request("x")

    run(main())


def test_a_cancelled_request_is_forgotten() -> None:
    async def main() -> None:
        async with Node("client") as asker:
            client = asker.add_request_client("t")
            waiting = asyncio.create_task(client.request("x", 60_000))
            await until(lambda: client.stats.pending == 1)
            waiting.cancel()
            await until(lambda: client.stats.pending == 0)

    run(main())


@pytest.mark.usefixtures("transport")
def test_cancelled_requests_that_have_not_left_are_not_sent_any_more() -> None:
    async def main() -> None:
        woken, busy = threading.Event(), threading.Event()
        got: list[str] = []

        def answer(message: str) -> str:
            got.append(message[:1])
            busy.set()
            woken.wait(seconds(10))
            return ""

        with Node("server").running() as server:
            server.add_reply_server("t", answer)
            async with Node("client") as asker:
                client = asker.add_request_client("t")
                first = asyncio.create_task(client.request("1", 30_000))
                assert await asyncio.to_thread(busy.wait, seconds(10))
                tasks = [asyncio.create_task(client.request("2" * 60_000, 30_000)) for _ in range(4000)]
                await until(lambda: client.stats.pending == 4001)
                (link,) = client._links.connected
                waiting = len(link._backlog)
                assert waiting > 0
                for task in tasks:
                    task.cancel()
                await until(lambda: client.stats.pending == 1)
                assert not link._backlog
                woken.set()
                assert await first == ""
                assert await client.request("3", 30_000) == ""
                assert len(got) <= 4002 - waiting

    run(main(), within=40)


def test_a_forgotten_request_is_taken_from_what_has_been_gathered() -> None:
    async def main() -> None:
        got = Collector()
        async with Node("server") as server, Node("client") as asker:
            server.add_reply_server("t", lambda message, reply: got(message))
            client = asker.add_request_client("t")
            await client.ready()
            (link,) = client._links.connected
            for number in (1, 2, 3):
                link.gather(Call(number, FLAG_TEXT, str(number).encode()))
            link.discard(2)
            assert link._gathered_bytes == 2
            link.flush()
            assert await got.reach(2) == ["1", "3"]

    run(main())


@pytest.mark.parametrize("timeout_ms", [0, -1, True, None, "100", float("nan"), 10**400])
def test_a_timeout_that_is_none_is_refused(timeout_ms: Any) -> None:
    async def main() -> None:
        async with Node("client") as asker:
            with pytest.raises(ConfigurationError, match="a timeout must be a number of milliseconds > 0"):
                await asker.add_request_client("t").request("x", timeout_ms)

    run(main())


def test_requests_may_be_sent_from_any_thread() -> None:
    with Node("server").running() as server, Node("client").running() as asker:
        server.add_reply_server("t", lambda message: message)
        client = asker.add_request_client("t")

        async def ask() -> list[str]:
            return [await client.request(str(number)) for number in range(20)]

        assert run(ask()) == [str(number) for number in range(20)]
        assert asker.run(client.request("x"), timeout_ms=5000) == "x"


def test_a_request_of_a_loop_that_has_been_closed_harms_no_other_one() -> None:
    async def main() -> None:
        held: dict[str, Reply] = {}
        left: list[asyncio.Task[Any]] = []
        async with Node("server") as server, Node("client") as asker:
            server.add_reply_server("t", held.__setitem__)
            client = asker.add_request_client("t")
            await client.ready()

            def ask_and_leave(message: str, timeout_ms: int) -> None:
                loop = asyncio.new_event_loop()
                left.append(loop.create_task(client.request(message, timeout_ms)))
                loop.call_soon(loop.stop)
                loop.run_forever()
                loop.close()

            await asyncio.to_thread(ask_and_leave, "expires", 50)
            with pytest.raises(RequestTimeout):
                await client.request("silence", 100)
            assert client.stats.timeouts == 2
            await asyncio.to_thread(ask_and_leave, "left", 60_000)
            others = [asyncio.create_task(client.request(str(number), 10_000)) for number in range(10)]
            await until(lambda: len(held) == 13)
            for message, reply in held.items():
                reply(message)
            assert await asyncio.gather(*others) == [str(number) for number in range(10)]

    run(main())


def test_requests_that_were_sent_in_the_turn_of_the_close_still_leave() -> None:
    async def main() -> None:
        got = Collector()
        async with Node("server") as server, Node("client") as asker:
            server.add_reply_server("t", lambda message, reply: got(message))
            client = asker.add_request_client("t")
            await client.ready()
            for number in range(5):
                client.send(str(number))
            client.close()
            assert await got.reach(5) == [str(number) for number in range(5)]

    run(main())


def test_requests_for_another_server_are_refused_in_turns_with_the_loops_other_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("colugo.net.transport.socket_reader._SLICE_S", 0)
    turn = 0
    refused: list[tuple[int, Call]] = []
    add = ReplyBatches.add

    def added(answers: ReplyBatches, identity: bytes, call: Call) -> None:
        refused.append((turn, call))
        add(answers, identity, call)

    monkeypatch.setattr(ReplyBatches, "add", added)

    async def main() -> None:
        nonlocal turn
        async with Node("server") as server:
            replier = server.add_reply_server("t", lambda message: message)
            context = zmq.Context()
            stranger = context.socket(zmq.DEALER)
            stranger.connect(replier.endpoints[0])
            requests = [Call(number, 0, b"") for number in range(1000)]
            stranger.send(encode_calls(FrameKind.REQUEST, b"otherone", requests))
            while len(refused) < 1000:
                turn += 1
                await asyncio.sleep(0)
            assert [call for _, call in refused] == [
                Call(number, FLAG_REFUSED, b"") for number in range(1000)
            ]
            assert max(Counter(turn for turn, _ in refused).values()) < 1000
            replies: list[Call] = []
            while len(replies) < 1000:
                await until(lambda: stranger.poll(0))
                replies += decode_calls(stranger.recv(), FrameKind.REPLY).calls
            assert sorted(replies) == [call for _, call in refused]
            assert replier.stats.refused == 1000
            stranger.close(0)
            context.term()

    run(main())


@pytest.mark.parametrize("at_a_time", [1, 256])
@pytest.mark.parametrize("what", ["client", "node"])
def test_a_callback_may_close_its_client_or_node_in_the_midst_of_replies(at_a_time: int, what: str) -> None:
    async def main() -> None:
        held: list[Reply] = []
        got, ended = Collector(), Collector()
        async with Node("server") as server, Node("client") as asker:

            def hold(message: str, reply: Reply) -> None:
                held.append(reply)
                if len(held) == 10:  # their replies leave together
                    for number, answer in enumerate(held):
                        answer(str(number))
                if message == "last":
                    ended(message)

            def close(reply: str) -> None:
                got(reply)
                if reply == "3":
                    client.send("last", got)
                    if what == "client":
                        client.close()
                    else:
                        asker.stop()

            server.add_reply_server("t", hold)
            client = asker.add_request_client("t")
            await client.ready()
            client._sender._pace.size = at_a_time
            for _ in range(10):
                client.send("x", close)
            assert await ended.reach(1) == ["last"]
            await until(lambda: client.closed)
            assert got.items[:4] == ["0", "1", "2", "3"]
            assert len(got.items) == 4 or what == "node"  # a node says goodbye before it closes
            assert client._sender._gathering is None
            assert client.stats.pending == 0

    run(main())


class Interruption(BaseException):
    """An exception that no callback should raise."""


@pytest.mark.parametrize("leaves", [False, True])
def test_what_a_callback_asked_before_it_raised_leaves_all_the_same(leaves: bool) -> None:  # noqa: FBT001
    async def main() -> None:
        raised = Collector()
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: raised(context["exception"]))
        replies = Collector()
        async with Node("a") as a, Node("b") as b, Node("client") as asker:
            a.add_reply_server("t", lambda message: "a")
            b.add_reply_server("t", lambda message: "b")
            client = asker.add_request_client("t")
            await client.ready(2)

            def stumble(reply: str) -> None:
                if leaves:
                    next(link for link in client._links.connected if link.peer.node == reply).end()
                client.send("x", replies)
                raise Interruption

            client.send("x", stumble)
            await replies.reach(1)
            assert [type(error) for error in raised.items] == [Interruption]

    run(main())


def test_large_requests_and_replies_survive() -> None:
    async def main() -> None:
        async with Node("server") as server, Node("client") as asker:
            server.add_reply_server("t", lambda message: message[::-1])
            client = asker.add_request_client("t")
            message = os.urandom(5_000_000)
            assert await client.request(message, 10_000) == message[::-1]

    run(main())


@asynccontextmanager
async def lazy_client(server: ReplyServer, count: int) -> AsyncIterator[zmq.Socket[bytes]]:
    """A raw DEALER that has sent so many requests, and has read no reply."""
    context = zmq.Context()
    lazy = context.socket(zmq.DEALER)
    lazy.set(zmq.RCVHWM, 10)
    lazy.connect(server.endpoints[0])
    try:
        for number in range(count):
            lazy.send(encode_calls(FrameKind.REQUEST, NO_ID, [Call(number, 0, b"")]))
            if number % 500 == 0:
                await asyncio.sleep(0)
        await until(lambda: server.stats.requests == count, within=20)
        yield lazy
    finally:
        context.destroy(linger=0)


@pytest.mark.usefixtures("transport")
def test_a_client_that_does_not_read_loses_replies_and_they_are_counted() -> None:
    """A raw DEALER that never reads replies fills its pipe; the server still answers others."""

    async def main() -> None:
        async with Node("server") as server, Node("client") as asker:
            replier = server.add_reply_server("t", lambda message: b"x" * 20_000)
            async with lazy_client(replier, 18_000):
                assert replier.stats.dropped > 0
                assert await asker.add_request_client("t").request("x") == b"x" * 20_000

    run(main(), within=40)


@pytest.mark.usefixtures("transport")
def test_what_waits_for_a_client_that_does_not_read_is_bounded_in_bytes_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("colugo.patterns.requests.reply_batches._MAX_BACKLOG_BYTES", 1_000_000)

    async def main() -> None:
        async with Node("server") as server:
            replier = server.add_reply_server("t", lambda message: b"x" * 20_000)
            async with lazy_client(replier, 8000) as lazy:
                (waiting,) = replier._batches._backlog.values()
                assert waiting.size <= 1_000_000
                assert waiting.size == sum(len(part) for frames, _, _ in waiting.messages for part in frames)
                dropped = replier.stats.dropped
                assert dropped > 0
                received = 0
                while received < 8000 - dropped:
                    await until(lambda: lazy.poll(0))
                    received += len(decode_calls(lazy.recv(), FrameKind.REPLY).calls)
                await until(lambda: not replier._batches._backlog)
                assert replier.stats.dropped == dropped
                assert not lazy.poll(0)

    run(main(), within=40)

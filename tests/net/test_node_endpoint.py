"""Each node has its own endpoint, which is advertised, answers questions, and survives bad input."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import zmq
from hypothesis import given
from hypothesis import strategies as st

from colugo import (
    BindError,
    ConfigurationError,
    LifecycleError,
    Node,
    RemoteError,
    RequestTimeoutError,
)
from colugo.errors import FrameError
from colugo.net.node_endpoint import NodeEndpoint, ask
from colugo.net.transport.sockets import Sockets
from colugo.protocol.frames import MAGIC, VERSION, FrameKind
from colugo.protocol.membership.control import (
    MAX_CONTROL_BYTES,
    Answer,
    Question,
    decode_body,
    decode_control,
    encode_control,
    is_of_other_version,
)
from colugo.testing import Network
from tests.support.essentials import Program, free_port, run, seconds, until
from tests.support.plain import plain_context, plain_socket
from tests.support.strategies import json_values

ASK_MS = 5000


def endpoint_of(node: Node) -> NodeEndpoint:
    return node._runtime.endpoint


def where(node: Node) -> str:
    return f"tcp://127.0.0.1:{endpoint_of(node).port}"


@asynccontextmanager
async def asking(of: Node) -> AsyncIterator[Any]:
    """A function that queries a node, with its own sockets."""
    sockets = Sockets(1024)

    async def ask_it(question: str, arguments: dict[str, Any] | None = None) -> Any:
        return await ask(sockets, where(of), question, seconds(ASK_MS), arguments)

    try:
        yield ask_it
    finally:
        sockets.close()


# --- being known


def test_nodes_without_sockets_know_each_other() -> None:
    async def main() -> None:
        async with Node("one") as one, Node("two") as two:
            await until(lambda: {a.node for a in one.nodes} == {a.node for a in two.nodes} == {"one", "two"})
            assert one.advertisements == two.advertisements == []
            assert {a.node_id for a in one.nodes} == {one.uuid.bytes, two.uuid.bytes}
            assert {a.port for a in one.nodes} == {endpoint_of(one).port, endpoint_of(two).port}
            assert str(next(a for a in two.nodes if a.node == "one")) == f"node one at {where(one)}"

    run(main())


def test_a_node_that_stops_is_known_no_longer() -> None:
    async def main() -> None:
        async with Node("stays") as stays:
            async with Node("goes"):
                await until(lambda: len(stays.nodes) == 2)
            await until(lambda: [a.node for a in stays.nodes] == ["stays"])

    run(main())


def test_nodes_of_a_network_in_memory_are_known_too(colugo_network: Network) -> None:
    async def main() -> None:
        async with colugo_network.node("one") as one, colugo_network.node("two"):
            await until(lambda: {a.node for a in one.nodes} == {"one", "two"})

    run(main())


def test_a_node_answers_over_ipv6_too() -> None:
    async def main() -> None:
        sockets = Sockets(1024)
        async with Node("both", scope="lo") as both:
            for endpoint in both.nodes[0].endpoints:
                answer = await ask(sockets, endpoint, "node", seconds(ASK_MS))
                assert answer["id"] == both.uuid.hex
            assert any("[" in endpoint for endpoint in both.nodes[0].endpoints)
        sockets.close()

    run(main())


# --- the port


def test_the_port_can_be_chosen() -> None:
    port = free_port()

    async def main() -> None:
        async with Node("one", port=port) as one:
            assert endpoint_of(one).port == port
            assert [a.port for a in one.nodes] == [port]

    run(main())


def test_a_chosen_port_that_is_taken_is_an_error_and_nothing_is_left_behind() -> None:
    async def main() -> None:
        async with Node("one") as one:
            port = endpoint_of(one).port
            with pytest.raises(BindError, match=rf"port {port}: another socket has that port"):
                async with Node("two", port=port):
                    pass
            assert [a.node for a in one.nodes] == ["one"]

    run(main())


def test_of_programs_with_one_colugo_port_the_first_has_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    port = free_port()
    monkeypatch.setenv("COLUGO_PORT", str(port))
    caplog.set_level(logging.INFO)

    async def main() -> None:
        async with Node("one") as one, Node("two") as two:
            assert endpoint_of(one).port == port
            assert endpoint_of(two).port not in (0, port)
            assert f"another program has port {port}; this node's endpoint has {endpoint_of(two).port}" in (
                caplog.text
            )

    run(main())


@pytest.mark.parametrize("port", [0, -1, 65536, "80", True, 1.5])
def test_what_is_no_port_is_refused(port: Any) -> None:
    with pytest.raises(ConfigurationError, match="port= must be an integer from 1 to 65535"):
        Node("one", port=port)


@pytest.mark.parametrize("text", ["0", "-1", "65536", "x", "1.5", "٣"])
def test_what_is_no_port_in_the_environment_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUGO_PORT", text)
    with pytest.raises(ConfigurationError, match="COLUGO_PORT must be an integer from 1 to 65535, not"):
        Node("one")


# --- questions


def test_a_node_tells_who_it_is_whatever_realm_who_asks_is_in() -> None:
    async def main() -> None:
        async with Node("one", realm="its-own") as one, asking(one) as ask_it:
            answer = await ask_it("node")
            assert answer["name"] == "one"
            assert answer["id"] == one.uuid.hex
            assert answer["realm"] == "its-own"

    run(main())


def test_what_is_served_is_answered_each_time_anew() -> None:
    async def main() -> None:
        async with Node("one") as one, asking(one) as ask_it:
            count = iter(range(10))
            endpoint_of(one).questions.serve("count", lambda _: {"n": next(count), "text": "é"})
            with pytest.raises(LifecycleError, match="'count' is answered already"):
                endpoint_of(one).questions.serve("count", dict)
            assert [await ask_it("count") for _ in range(2)] == [
                {"n": 0, "text": "é"},
                {"n": 1, "text": "é"},
            ]

    run(main())


def test_an_answer_that_fails_is_an_error_at_who_asks_and_the_node_goes_on() -> None:
    async def main() -> None:
        def fail(arguments: dict[str, Any]) -> None:
            raise KeyError("broken")

        async with Node("one") as one, asking(one) as ask_it:
            endpoint_of(one).questions.serve("bad", fail)
            endpoint_of(one).questions.serve("odd", lambda _: object())
            endpoint_of(one).questions.serve("huge", lambda _: "x" * 20_000_000)
            with pytest.raises(RemoteError, match=r"KeyError: 'broken' \(at tcp://127.0.0.1:\d+\)"):
                await ask_it("bad")
            with pytest.raises(RemoteError, match="TypeError"):
                await ask_it("odd")
            with pytest.raises(RemoteError, match="the limit is"):
                await ask_it("huge")
            with pytest.raises(
                RemoteError, match="no question 'weather'; this node answers: bad, describe, "
            ):
                await ask_it("weather")
            assert (await ask_it("node"))["name"] == "one"

    run(main())


def test_a_question_has_arguments_that_its_handler_gets() -> None:
    async def main() -> None:
        async with Node("one") as one, asking(one) as ask_it:
            endpoint_of(one).questions.serve("echo", lambda arguments: arguments)
            arguments = {"topic": "a.b", "limit": 3, "which": [1, {"é": None}]}
            assert await ask_it("echo", arguments) == arguments
            assert await ask_it("echo") == {}
            assert (await ask_it("node", arguments))["name"] == "one"

    run(main())


def test_arguments_that_cannot_be_sent_are_refused_where_they_are_given() -> None:
    async def main() -> None:
        async with Node("one") as one, asking(one) as ask_it:
            for bad in (object(), {(1, 2): 3}, "\ud800"):
                with pytest.raises(ConfigurationError, match="JSON cannot carry these arguments of 'node'"):
                    await ask_it("node", {"x": bad})
            with pytest.raises(ConfigurationError, match=f"the limit is {MAX_CONTROL_BYTES}"):
                await ask_it("node", {"x": "x" * MAX_CONTROL_BYTES})

    run(main())


def test_an_argument_that_cannot_work_is_told_to_who_asks_and_is_no_failure_of_the_node(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def limited(arguments: dict[str, Any]) -> None:
        raise ConfigurationError(f"limit is a number, not {arguments['limit']!r}")

    async def limited_later(arguments: dict[str, Any]) -> None:
        await asyncio.sleep(0)
        limited(arguments)

    async def main() -> None:
        async with Node("one") as one, asking(one) as ask_it:
            endpoint_of(one).questions.serve("now", limited)
            endpoint_of(one).questions.serve("later", limited_later)
            for question in ("now", "later"):
                with pytest.raises(RemoteError, match="ConfigurationError: limit is a number, not 'x'"):
                    await ask_it(question, {"limit": "x"})
                assert "failed" not in caplog.text
                with pytest.raises(RemoteError, match="KeyError: 'limit'"):
                    await ask_it(question)
                assert f"the answer to '{question}' failed" in caplog.text
                assert "Traceback" in caplog.text
                caplog.clear()

    run(main())


def test_an_answer_that_takes_its_time_comes_when_it_is_done_and_others_meanwhile() -> None:
    async def main() -> None:
        async with Node("one") as one, asking(one) as ask_it:
            asked, may_go_on = asyncio.Event(), asyncio.Event()
            names: list[str] = []

            async def slow(arguments: dict[str, Any]) -> Any:
                names.extend(task.get_name() for task in asyncio.all_tasks())
                asked.set()
                await may_go_on.wait()
                return arguments["n"] + 1

            endpoint_of(one).questions.serve("slow", slow)
            waiting = asyncio.create_task(ask_it("slow", {"n": 1}))
            await asked.wait()
            assert "colugo one answer to slow" in names
            assert (await ask_it("node"))["name"] == "one"
            assert not waiting.done()
            may_go_on.set()
            assert await waiting == 2

    run(main())


def test_a_future_will_do_and_one_that_is_cancelled_is_an_error() -> None:
    async def main() -> None:
        async with Node("one") as one, asking(one) as ask_it:
            loop = asyncio.get_running_loop()
            futures = [loop.create_future(), loop.create_future()]
            left = iter(futures)
            endpoint_of(one).questions.serve("future", lambda _: next(left))
            futures[0].set_result("done")
            assert await ask_it("future") == "done"
            futures[1].cancel()
            with pytest.raises(RemoteError, match="CancelledError"):
                await ask_it("future")

    run(main())


def test_of_a_hundred_answers_in_progress_the_next_is_refused_and_what_is_quick_is_not() -> None:
    async def main() -> None:
        async with Node("one") as one, asking(one) as ask_it:
            may_go_on = asyncio.Event()
            begun: list[int] = []

            async def slow(arguments: dict[str, Any]) -> int:
                begun.append(arguments["n"])
                await may_go_on.wait()
                return int(arguments["n"])

            endpoint_of(one).questions.serve("slow", slow)
            waiting = [asyncio.create_task(ask_it("slow", {"n": n})) for n in range(100)]
            await until(lambda: len(begun) == 100)
            with pytest.raises(RemoteError, match="LifecycleError: 100 answers are in progress"):
                await ask_it("slow", {"n": 100})
            assert (await ask_it("node"))["name"] == "one"
            assert len(begun) == 100
            may_go_on.set()
            assert await asyncio.gather(*waiting) == list(range(100))
            assert await ask_it("slow", {"n": 100}) == 100

    run(main())


def test_what_is_no_longer_served_is_a_question_that_is_not_known() -> None:
    async def main() -> None:
        async with Node("one") as one, asking(one) as ask_it:
            begun = asyncio.Event()
            ended: list[str] = []

            async def for_ever(arguments: dict[str, Any]) -> None:
                begun.set()
                try:
                    await asyncio.Event().wait()
                finally:
                    ended.append("cancelled")

            endpoint_of(one).questions.serve("weather", for_ever)
            waiting = asyncio.create_task(ask_it("weather"))
            await begun.wait()
            endpoint_of(one).questions.unserve("weather", "'weather' is answered no longer")
            endpoint_of(one).questions.unserve("weather", "'weather' is answered no longer")
            with pytest.raises(RemoteError, match="ClosedError: 'weather' is answered no longer"):
                await waiting
            assert ended == ["cancelled"]
            with pytest.raises(RemoteError, match="no question 'weather'"):
                await ask_it("weather")
            endpoint_of(one).questions.serve("weather", lambda _: "fine")
            assert await ask_it("weather") == "fine"

    run(main())


def test_who_waits_for_an_answer_of_a_node_that_stops_is_told_so_at_once() -> None:
    async def main() -> None:
        begun = asyncio.Event()

        async def for_ever(arguments: dict[str, Any]) -> None:
            begun.set()
            await asyncio.Event().wait()

        async with Node("asks") as asks:
            async with Node("one") as one:
                endpoint_of(one).questions.serve("slow", for_ever)
                sockets = asks._runtime.sockets
                waiting = asyncio.create_task(ask(sockets, where(one), "slow", seconds(ASK_MS)))
                await begun.wait()
            with pytest.raises(RemoteError, match="ClosedError: the node is being stopped"):
                await waiting
            assert not [task for task in asyncio.all_tasks() if "answer to" in task.get_name()]

    run(main())


def has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


@pytest.mark.skipif(not has_ipv6(), reason="this host has no ::1")
def test_a_node_at_an_address_of_ipv6_is_asked_there() -> None:
    async def main() -> None:
        async with Node("one", scope="::1", mdns=False) as one:
            sockets = Sockets(1024)
            try:
                (own,) = one.nodes
                found = await ask(sockets, f"tcp://[::1]:{own.port}", "node", seconds(ASK_MS))
            finally:
                sockets.close()
            assert found["id"] == one.uuid.hex

    run(main())


@pytest.mark.slow
@pytest.mark.parametrize("sockets", [0, 1])
def test_who_is_restarted_at_its_port_is_there_once(sockets: int, realm: str) -> None:
    port = str(free_port())
    code = "from colugo import Node; node = Node('restarted')\n"
    code += f"for n in range({sockets}): node.add_publisher(f't{{n}}')\nnode.start()"

    def program() -> Program:
        return Program(["-c", code], realm=realm, env={"COLUGO_PORT": port})

    async def main() -> None:
        async with Node("one") as one:
            one.add_subscriber("t0", print)

            def there() -> list[bytes]:
                return [node.socket_id for node in one.nodes if node.node == "restarted"]

            with program() as first:
                await until(lambda: len(there()) == 1)
                before = there()
                first.kill()
            with program():
                await until(lambda: set(there()) - set(before))
                await until(lambda: len(there()) == 1, 6)
                assert there() != before

    run(main(), within=30)


def test_who_is_not_there_is_a_timeout() -> None:
    async def main() -> None:
        sockets = Sockets(1024)
        try:
            with pytest.raises(RequestTimeoutError, match="has not answered within 100 ms"):
                await ask(sockets, f"tcp://127.0.0.1:{free_port()}", "node", 100)
            with pytest.raises(ConfigurationError, match="'tcp://nowhere' is not an endpoint"):
                await ask(sockets, "tcp://nowhere", "node", 100)
        finally:
            sockets.close()

    run(main())


@asynccontextmanager
async def impostor(reply: list[bytes]) -> AsyncIterator[str]:
    """An endpoint that gives the same frames as every answer."""
    async with plain_context() as context:
        router = context.socket(zmq.ROUTER)
        port = router.bind_to_random_port("tcp://127.0.0.1")

        async def answer() -> None:
            while True:
                identity, *_ = await router.recv_multipart()
                await router.send_multipart([identity, *reply])

        task = asyncio.create_task(answer())
        try:
            yield f"tcp://127.0.0.1:{port}"
        finally:
            task.cancel()


OTHER_VERSION = bytes([MAGIC, 0, VERSION + 1, FrameKind.ANSWER]) + b"{}"


@pytest.mark.parametrize(
    ("reply", "text"),
    [
        ([OTHER_VERSION], f"wire format version {VERSION + 1}; this is version {VERSION}"),
        ([b"HTTP/1.1 400"], "not a colugo peer"),
        ([b""], "shorter than its header"),
        ([encode_control(FrameKind.QUESTION, {})], "is no answer of a node"),
        ([encode_control(FrameKind.ANSWER, {"number": "x"})], "does not decode"),
        ([encode_control(FrameKind.ANSWER, {"number": 1}), b""], "is no answer of a node"),
    ],
)
def test_an_answer_that_is_none_is_an_error_that_says_so(reply: list[bytes], text: str) -> None:
    async def main() -> None:
        sockets = Sockets(1024)
        try:
            async with impostor(reply) as endpoint:
                with pytest.raises(FrameError, match=f"{endpoint}: .*{text}"):
                    await ask(sockets, endpoint, "node", seconds(ASK_MS))
        finally:
            sockets.close()

    run(main())


# --- strangers

GARBAGE = [
    [b""],
    [b"\xc1"],
    [b"GET / HTTP/1.1"],
    [bytes(100_000)],
    [encode_control(FrameKind.QUESTION, {"number": 0, "question": "node"}), b"more"],
    [b"", encode_control(FrameKind.QUESTION, {"number": 0, "question": "node"})],
    [encode_control(FrameKind.QUESTION, {"number": -1, "question": "node"})],
    [encode_control(FrameKind.QUESTION, {"number": 0, "question": "x" * 1000})],
    [encode_control(FrameKind.QUESTION, {"number": 0, "question": "node", "arguments": [1]})],
    [encode_control(FrameKind.QUESTION, {"number": 0, "question": "node", "arguments": None})],
    [
        encode_control(
            FrameKind.QUESTION,
            {"number": 0, "question": "node", "arguments": dict.fromkeys(map(str, range(101)))},
        )
    ],
    [encode_control(FrameKind.ANSWER, {"number": 0})],
    [encode_control(FrameKind.DATA, {})],
    [bytes([MAGIC, 0, VERSION, 255]) + b"{}"],
    [bytes([MAGIC, 1, VERSION, FrameKind.QUESTION]) + b"{}"],
    [encode_control(FrameKind.QUESTION, 1)[:4] + b"[" * 500_000],
    [encode_control(FrameKind.QUESTION, 1)[:4] + b'{"number":0,"question":"\xff"}'],
]


def test_whatever_strangers_send_is_counted_and_the_next_question_is_answered(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        async with Node("one") as one, asking(one) as ask_it, plain_socket(zmq.DEALER, where(one)) as other:
            for frames in GARBAGE:
                await other.send_multipart(frames)
            await until(lambda: endpoint_of(one).malformed == len(GARBAGE))
            assert (await ask_it("node"))["name"] == "one"
            assert not await other.poll(0)
            assert caplog.text.count("received a malformed frame") == 1

    run(main())


def test_a_node_of_another_version_is_told_this_ones() -> None:
    async def main() -> None:
        async with Node("one") as one, plain_socket(zmq.DEALER, where(one)) as newer:
            await newer.send(bytes([MAGIC, 0, VERSION + 1, 99]) + b"something new")
            async with asyncio.timeout(seconds(5)):
                answer = await newer.recv()
            kind, body = decode_control(answer)
            assert kind is FrameKind.ANSWER
            error = decode_body(body, Answer).error
            assert error is not None
            assert error.message == f"wire format version {VERSION + 1}; this is version {VERSION}"

    run(main())


def test_a_frame_that_is_too_long_ends_its_connection_and_nothing_else() -> None:
    async def main() -> None:
        async with Node("one") as one, asking(one) as ask_it, plain_context() as context:
            stranger = context.socket(zmq.DEALER)
            monitor = stranger.get_monitor_socket(zmq.EVENT_DISCONNECTED)
            stranger.connect(where(one))
            await stranger.send(bytes(MAX_CONTROL_BYTES + 1))
            assert await monitor.poll(seconds(5000))
            assert (await ask_it("node"))["name"] == "one"
            assert endpoint_of(one).malformed == 0
            stranger.disable_monitor()
            monitor.close()

    run(main())


def test_answers_to_one_that_reads_none_are_dropped_and_the_node_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # a small mark: how soon a thousand long answers are written depends on the machine
    monkeypatch.setattr("colugo.net.node_endpoint._HWM", 10)

    async def main() -> None:
        async with Node("one") as one, asking(one) as ask_it, plain_context() as context:
            endpoint_of(one).questions.serve("long", lambda _: "x" * 100_000)
            greedy = context.socket(zmq.DEALER)
            greedy.set(zmq.RCVHWM, 1)
            greedy.connect(where(one))
            question = encode_control(FrameKind.QUESTION, Question(0, "long"))
            while endpoint_of(one).dropped == 0:
                await greedy.send(question)
            assert (await ask_it("node"))["name"] == "one"

    run(main())


@given(st.sampled_from(list(FrameKind)), json_values)
def test_a_frame_is_read_as_it_was_written(kind: FrameKind, body: Any) -> None:
    found, encoded = decode_control(encode_control(kind, body))
    assert found is kind
    assert encode_control(kind, body).endswith(encoded)


@given(st.binary(max_size=200), st.sampled_from([b"", bytes([MAGIC, 0, VERSION, FrameKind.QUESTION])]))
def test_bytes_of_a_stranger_are_a_frame_or_a_frame_error(tail: bytes, head: bytes) -> None:
    frame = head + tail
    assert is_of_other_version(frame) in (True, False)
    for form in (Question, Answer):
        try:
            _, body = decode_control(frame)
            decode_body(body, form)
        except FrameError:
            pass


@given(json_values)
def test_json_of_a_stranger_is_a_question_or_a_frame_error(value: Any) -> None:
    body = encode_control(FrameKind.QUESTION, value)[4:]
    try:
        question = decode_body(body, Question)
    except FrameError:
        return
    assert 0 <= question.number < 2**63
    assert len(question.question) <= 200
    assert len(question.arguments) <= 100

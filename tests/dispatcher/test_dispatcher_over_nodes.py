"""Dispatchers of several nodes and processes."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from colugo import Node
from colugo.dispatcher import ATEDispatcher, Producer, ResultListener
from colugo.dispatcher.open_requests import OpenRequests
from colugo.dispatcher.registrations import Audiences
from colugo.dispatcher.request import Request
from colugo.errors import (
    ClosedError,
    ConfigurationError,
    EncodeError,
    LifecycleError,
    MessageTooLargeError,
    PeerLostError,
    RemoteError,
    TopicError,
)
from colugo.protocol.advertisement import Advertisement
from tests.support.dispatching import Echo, Failing, Held, Listener, dispatching
from tests.support.essentials import Program, run, seconds, until, wait_until
from tests.support.processes import program

LONG_MS = 15_000


@contextmanager
def producers(realm: str, *labels: str, **options: Any) -> Iterator[list[Program]]:
    """A process for each label, with a producer of the topic."""
    with ExitStack() as stack:
        programs = [
            stack.enter_context(program("producers", realm, topic="topic", labels=[label], **options))
            for label in labels
        ]
        for one in programs:
            one.expect("ready")
        yield programs


@contextmanager
def asking(*members: Producer | ResultListener, known: int = 0, **options: Any) -> Iterator[ATEDispatcher]:
    """A dispatcher with a node, which has met so many producers of other nodes."""
    with dispatching(*members, node="asking", **options) as dispatcher:
        network = dispatcher._transport
        assert network is not None
        assert wait_until(lambda: "topic" in network._surveyors)
        surveyor = network._surveyors["topic"]._surveyor
        network.node.run(surveyor.ready(known), seconds(15) * 1000)
        yield dispatcher


def test_producers_in_other_processes_answer_with_the_local_ones(realm: str) -> None:
    listener = Listener()
    with producers(realm, "a", "b") as _, asking(listener, known=2) as dispatcher:
        local = Echo("local")
        local.start()
        dispatcher.register_result_producer(local, "topic")
        dispatcher.send_request("topic", 3, 4, 5, ttl=LONG_MS, keyword="b")
        summary = listener.done()
        assert (summary.producers, summary.results, summary.errors, summary.silent) == (3, 3, 0, 0)
        assert summary.elapsed_ms < LONG_MS / 2
        results = sorted((listener.result() for _ in range(3)), key=lambda result: str(result["label"]))
        assert [result["label"] for result in results] == ["a", "b", "local"]
        for result in results:
            assert tuple(result["args"]) == (3, 4, 5)
            assert result["kwargs"] == {"keyword": "b"}
        assert dispatcher.stats.pending == 0


def test_the_first_request_reaches_those_that_are_there(realm: str) -> None:
    listener = Listener()
    with (
        producers(realm, "a", "b"),
        Node("asking").running() as node,
        dispatching(listener, topic="elsewhere", node=node) as dispatcher,
    ):
        node.run(until(lambda: sum(one.topic == "topic" for one in node.advertisements) == 2))
        second = Listener()
        second.start()
        dispatcher.register_result_listener(second, "topic")
        dispatcher.send_request("topic", ttl=LONG_MS)
        assert second.done().results == 2


@pytest.mark.slow
def test_a_producer_that_is_killed_is_an_error_and_is_not_waited_for(realm: str) -> None:
    listener = Listener()
    with producers(realm, "a", "b", delay_ms=2000) as (first, _), asking(listener, known=2) as dispatcher:
        dispatcher.send_request("topic", ttl=LONG_MS)
        first.expect("asked")
        first.kill()
        summary = listener.done()
        assert (summary.producers, summary.results, summary.errors, summary.silent) == (2, 1, 1, 0)
        assert summary.elapsed_ms < LONG_MS / 2
        assert listener.result()["label"] == "b"
        topic, peer, error = listener.error()
        assert (topic, peer.node) == ("topic", "producers a")
        assert isinstance(error, PeerLostError)


@pytest.mark.slow
def test_a_producer_that_is_too_slow_is_silent_at_the_ttl(realm: str) -> None:
    listener = Listener()
    with producers(realm, "slow", delay_ms=1500), producers(realm, "quick"):
        with asking(listener, known=2) as dispatcher:
            dispatcher.send_request("topic", ttl=300)
            summary = listener.done()
            assert (summary.producers, summary.results, summary.errors, summary.silent) == (2, 1, 0, 1)
            assert 300 <= summary.elapsed_ms < 300 + seconds(1) * 1000
            assert listener.result()["label"] == "quick"
            dispatcher.send_request("topic", ttl=LONG_MS)
            assert listener.done().results == 2
        assert [result["label"] for _, result in listener.results].count("slow") == 1


def test_a_local_producer_that_is_too_slow_is_silent_at_the_ttl_though_others_have_answered() -> None:
    listener, held = Listener(), Held()
    with dispatching(Echo("far"), node="far"), asking(listener, held, known=1) as dispatcher:
        dispatcher.send_request("topic", ttl=300)
        summary = listener.done()
        assert (summary.producers, summary.results, summary.silent) == (2, 1, 1)
        assert 300 <= summary.elapsed_ms < 300 + seconds(1) * 1000
        assert dispatcher.stats.pending == 0


def test_who_answers_after_the_ttl_and_before_the_survey_ends_is_silent() -> None:
    """As it is when the node's loop was held: what has come is read before timers are looked at."""
    open_requests = OpenRequests()
    request = Request(open_requests, Audiences(), "topic", (), {}, 1, time.monotonic() - 1, ())
    request.left += 1
    request.surveyed = True
    open_requests.begin(request)
    open_requests.remote_answered(request, "too late")
    open_requests.survey_ended(request, {}, 0)
    assert request.over
    assert (request.asked, request.results, request.errors, request.silent) == (1, 0, 0, 1)
    stats = open_requests.stats(dropped=0)
    assert (stats.results, stats.silent, stats.late, stats.pending) == (0, 1, 1, 0)


def test_several_requests_at_a_time_get_their_own_answers() -> None:
    count = 1000
    listener = Listener()
    far = [Echo("x", concurrency=2), Echo("y")]
    with dispatching(*far, node="far"), asking(listener, known=2) as dispatcher:
        for number in range(count):
            dispatcher.send_request("topic", number, ttl=LONG_MS)
        for _ in range(count):
            assert listener.done().results == 2
        got = sorted((result["label"], *result["args"]) for _, result in listener.results)
        assert got == sorted((label, number) for label in "xy" for number in range(count))


def test_what_a_producer_raises_elsewhere_reaches_the_listeners_here() -> None:
    listener = Listener()
    with dispatching(Failing(), node="far"), asking(listener, known=1) as dispatcher:
        dispatcher.send_request("topic", "not an exception", ttl=LONG_MS)
        topic, peer, error = listener.error()
        assert topic == "topic"
        assert isinstance(peer, Advertisement)
        assert isinstance(error, RemoteError)
        assert error.type_name == "TypeError"
        assert listener.done().errors == 1


def test_a_result_that_the_codec_cannot_carry_is_an_error_of_its_producer() -> None:
    class Odd(Echo):
        def produce_dispatcher_output(self, topic: str, *args: Any, **kwargs: Any) -> Any:
            return object()

    listener = Listener()
    with dispatching(Odd("odd"), node="far"), asking(listener, known=1) as dispatcher:
        dispatcher.send_request("topic", ttl=LONG_MS)
        error = listener.error()[2]
        assert isinstance(error, RemoteError)
        assert error.type_name == "EncodeError"
        assert listener.done().errors == 1


def test_a_full_producer_elsewhere_is_an_error() -> None:
    listener, held = Listener(), Held(capacity=1)
    with dispatching(held, node="far"), asking(listener, known=1) as dispatcher:
        dispatcher.send_request("topic", 1, ttl=LONG_MS)
        assert held.begun.acquire(timeout=seconds(10))
        for number in (2, 3):
            dispatcher.send_request("topic", number, ttl=LONG_MS)
        assert "FlowError" in str(listener.error()[2])
        held.gate.set()
        assert sorted((listener.result(), listener.result())) == [1, 2]


def test_what_waits_elsewhere_beyond_its_ttl_is_not_begun() -> None:
    listener, held = Listener(), Held()
    with dispatching(held, node="far") as far, asking(listener, known=1) as dispatcher:
        dispatcher.send_request("topic", "first", ttl=LONG_MS)
        assert held.begun.acquire(timeout=seconds(10))
        dispatcher.send_request("topic", "short", ttl=100)
        assert listener.done().silent == 1
        assert wait_until(lambda: held.waiting == 0)
        held.gate.set()
        assert listener.result() == "first"
        assert held.handled == ["first"]
        assert wait_until(lambda: far.stats.pending == 0)


def test_arguments_that_the_codec_cannot_carry_are_an_error_of_the_caller() -> None:
    with dispatching(Echo("e"), node="node") as dispatcher:
        with pytest.raises(EncodeError, match=r"arguments of a request.*msgpack.*object"):
            dispatcher.send_request("topic", object())
        assert dispatcher.stats.requests == 0
    unstarted = ATEDispatcher(node="node")
    with pytest.raises(EncodeError, match="arguments of a request"):
        unstarted.send_request("topic", key={1, object()})
    unstarted.stop()


def test_arguments_over_the_limit_are_an_error_of_the_caller() -> None:
    listener = Listener()
    node = Node("asking", max_message_bytes=10_000)
    with node.running(), dispatching(listener, node=node) as dispatcher:
        with pytest.raises(MessageTooLargeError, match="max_message_bytes is 10000"):
            dispatcher.send_request("topic", bytes(10_000))
        dispatcher.send_request("topic", bytes(9_000))
        assert listener.done().producers == 0
        assert dispatcher.stats.requests == 1


def test_any_object_travels_with_pickle_and_only_if_both_sides_name_it() -> None:
    listener = Listener()
    with (
        dispatching(Echo("far"), node="far", codec="pickle"),
        asking(listener, known=1, codec="pickle") as dispatcher,
    ):
        dispatcher.send_request("topic", 1 + 2j, ttl=LONG_MS)
        assert listener.result()["args"] == (1 + 2j,)
    with pytest.raises(ConfigurationError, match="no codec is called 'pikle'"):
        ATEDispatcher(node="x", codec="pikle")


def test_a_codec_for_messages_of_one_class_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="takes lists and dicts"):
        ATEDispatcher(node="x", codec=None)


def test_a_node_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="node= takes a Node"):
        ATEDispatcher(node=3)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError):
        ATEDispatcher(node="x" * 64)


def test_with_a_node_topics_keep_the_rules_of_the_network() -> None:
    with dispatching(node="node") as dispatcher:
        calls: list[Callable[[], object]] = [
            lambda: dispatcher.send_request("two words"),
            lambda: dispatcher.register_result_producer(Echo("e"), "two words"),
            lambda: dispatcher.register_result_listener(Listener(), "a.*"),
        ]
        for call in calls:
            with pytest.raises(TopicError):
                call()


def test_what_is_no_request_is_refused_with_an_error() -> None:
    async def main(questions: list[Any]) -> None:
        async with Node("stranger") as stranger:
            surveyor = stranger.add_surveyor("topic", codec="msgpack")
            await surveyor.ready()
            for question in questions:
                survey = await surveyor.survey(question, timeout_ms=LONG_MS)
                (error,) = survey.failed.values()
                assert "DecodeError" in str(error)
            survey = await surveyor.survey([LONG_MS, ["x"], {}], timeout_ms=LONG_MS)
            assert [reply["args"] for reply in survey.replies.values()] == [["x"]]

    with dispatching(Echo("e"), node="node"):
        run(
            main([None, [], 1, [1, 2, 3], [0, [], {}], [-5, [], {}], [float("inf"), [], {}], [5, [], {1: 2}]])
        )


def test_a_producer_that_is_deregistered_is_asked_no_more() -> None:
    listener, far = Listener(), Echo("far")
    with dispatching(far, node="far") as other, asking(listener, known=1) as dispatcher:
        dispatcher.send_request("topic", ttl=LONG_MS)
        assert listener.done().producers == 1
        other.deregister_result_producer(far, "topic")
        network = dispatcher._transport
        assert network is not None
        assert wait_until(lambda: not network._surveyors["topic"]._surveyor.respondents)
        dispatcher.send_request("topic", ttl=LONG_MS)
        assert listener.done().producers == 0


def test_requests_before_the_start_reach_other_nodes_too() -> None:
    listener = Listener()
    listener.start()
    with dispatching(Echo("far"), node="far"), Node("near").running() as node:
        node.run(until(lambda: any(one.topic == "topic" for one in node.advertisements)))
        dispatcher = ATEDispatcher(node=node)
        dispatcher.register_result_listener(listener, "topic")
        dispatcher.send_request("topic", ttl=LONG_MS)
        dispatcher.start()
        assert listener.done().results == 1
        dispatcher.stop()


def test_callbacks_of_its_own_node_may_register_while_it_starts() -> None:
    """The start waits for the node, and the node for its callback."""
    listener = Listener(daemon=True)
    dispatcher = ATEDispatcher(node="asking", daemon=True)
    assert dispatcher.node is not None
    registered = threading.Event()

    def register() -> None:
        dispatcher.register_result_listener(listener, "topic")
        registered.set()

    dispatcher.node.add_delayed_callback(0, register)
    listener.start()
    starting = threading.Thread(target=dispatcher.start, daemon=True)
    starting.start()
    starting.join(seconds(10))
    assert not starting.is_alive()
    try:
        assert registered.wait(seconds(10))
        dispatcher.send_request("topic")
        assert listener.done().producers == 0
    finally:
        dispatcher.stop()


def test_a_given_node_goes_on_when_the_dispatcher_stops() -> None:
    echo = Echo("e")
    with Node("given").running() as node:
        with dispatching(echo, node=node):
            node.run(until(lambda: any(one.topic == "topic" for one in node.advertisements)))
        node.run(until(lambda: not any(one.topic == "topic" for one in node.advertisements)))
        publisher = node.add_publisher("still.there")
        publisher.send("x")


def test_a_node_of_its_own_ends_with_the_dispatcher() -> None:
    before = set(threading.enumerate())
    with dispatching(Echo("e"), Listener(), node="own") as dispatcher:
        dispatcher.send_request("topic")
        assert dispatcher.node is not None
    assert wait_until(lambda: set(threading.enumerate()) <= before)


def test_after_the_stop_of_the_node_requests_are_a_closed_error() -> None:
    with Node("given").running() as node:
        dispatcher = ATEDispatcher(node=node)
        dispatcher.start()
        dispatcher.send_request("topic")
    with pytest.raises(ClosedError, match="'given' has been stopped"):
        dispatcher.send_request("topic")
    assert dispatcher.stop() == []


def test_a_dispatcher_with_a_node_that_was_never_started_can_be_stopped() -> None:
    for node in ("own", Node("given")):
        dispatcher = ATEDispatcher(node=node)
        dispatcher.register_result_producer(Echo("e"), "topic")
        dispatcher.send_request("topic")
        assert dispatcher.stop() == []
        with pytest.raises(ClosedError):
            dispatcher.start()
        assert dispatcher.node is not None
        dispatcher.node.stop()


def test_the_node_may_be_started_after_the_dispatcher() -> None:
    listener = Listener()
    with dispatching(Echo("far"), node="far"):
        near = Node("near")
        with dispatching(listener, node=near) as dispatcher, near.running():
            near.run(until(lambda: any(one.topic == "topic" for one in near.advertisements)))
            assert wait_until(lambda: _asks_and_hears(dispatcher, listener))


def _asks_and_hears(dispatcher: ATEDispatcher, listener: Listener) -> bool:
    dispatcher.send_request("topic", ttl=LONG_MS)
    return listener.done().results == 1


def test_started_twice_is_said_with_a_node_too() -> None:
    with dispatching(node="own") as dispatcher, pytest.raises(LifecycleError):
        dispatcher.start()


def test_nothing_piles_up_for_a_node_that_does_not_run() -> None:
    listener = Listener()
    node = Node("idle")
    with dispatching(Echo("e"), listener, node=node) as dispatcher:
        waiting = len(node._runtime._on_open)
        for _ in range(100):
            dispatcher.send_request("topic", ttl=LONG_MS)
        for _ in range(100):
            assert listener.done().results == 1
        assert len(node._runtime._on_open) == waiting
        assert dispatcher.stats.pending == 0
    node.stop()


@pytest.mark.slow
def test_50_000_requests_that_another_node_does_not_answer_leave_nothing_pending() -> None:
    count = 50_000
    held = Held(capacity=count)
    listener = ResultListener()
    with dispatching(held, node="far") as far, asking(listener, known=1) as dispatcher:
        dispatcher.send_request("topic", ttl=LONG_MS)
        assert held.begun.acquire(timeout=seconds(10))
        for _ in range(count):
            dispatcher.send_request("topic", ttl=500)
        assert wait_until(lambda: dispatcher.stats.pending <= 1, within=40)
        assert wait_until(lambda: far.stats.pending <= 1, within=40)
        assert wait_until(lambda: held.waiting == 0)
        held.gate.set()

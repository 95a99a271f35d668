"""The dispatcher within one process."""

import gc
import logging
import math
import sys
import threading
import tracemalloc
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from colugo.dispatcher import ATEDispatcher, DispatchSummary, Producer, ResultListener
from colugo.errors import ClosedError, ConfigurationError, FlowError, LifecycleError, TopicError
from tests.support.dispatching import Echo, Failing, Held, Listener, Plain, dispatching
from tests.support.essentials import seconds, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

NEVER_MS = 3_600_000
"""A ttl that no test waits for."""


# --- what the documentation of ate-dispatcher states, with colugo's import


class DocumentedProducer(Producer):
    def __init__(self, _id: int, timeout: int, *topics: str) -> None:
        super().__init__()
        self.id = _id
        self.timeout = timeout / 1000
        self.topics = set(topics)

    def produce_dispatcher_output(self, topic: str, *args: Any, **kwargs: Any) -> Any:
        threading.Event().wait(self.timeout)
        return {"id": self.id, "some_key": topic, "args": args, "kwargs": kwargs}


class DocumentedListener(Listener):
    """The documented one keeps its responses by topic."""

    @property
    def responses(self) -> dict[str, list[Any]]:
        by_topic: dict[str, list[Any]] = {}
        for topic, response in self.results:
            by_topic.setdefault(topic, []).append(response)
        return by_topic


def documented_answer(number: int, topic: str) -> dict[str, Any]:
    return {"id": number, "some_key": topic, "args": (3, 4, 5), "kwargs": {"keyword": "b"}}


def each_has(listeners: list[DocumentedListener], expected: dict[str, list[Any]]) -> None:
    """A request is over, and this is what the listeners have; they are emptied."""
    for listener in listeners:
        listener.done()
        assert listener.responses == expected
        listener.results.clear()


def test_the_documented_program_gives_what_it_states() -> None:
    dispatcher = ATEDispatcher()
    dispatcher.start()
    producers = [
        DocumentedProducer(0, 200, "topic1", "my_topic"),
        DocumentedProducer(1, 500, "topic1", "topic2", "my_topic"),
    ]
    listeners = {
        DocumentedListener(): ["topic1", "topic2", "my_topic"],
        DocumentedListener(): ["topic1", "my_topic"],
    }
    for member in (*producers, *listeners):
        member.start()
    produced = [(producer, topic) for producer in producers for topic in producer.topics]
    heard = [(listener, topic) for listener, topics in listeners.items() for topic in topics]
    for producer, topic in produced:
        dispatcher.register_result_producer(producer, topic)
    for listener, topic in heard:
        dispatcher.register_result_listener(listener, topic)
    first, second = listeners

    dispatcher.send_request("topic1", 3, 4, 5, ttl=4000, keyword="b")
    each_has([first, second], {"topic1": [documented_answer(0, "topic1"), documented_answer(1, "topic1")]})

    dispatcher.send_request("my_topic", 3, 4, 5, ttl=300, keyword="b")
    assert wait_until(lambda: dispatcher.stats.late == 1)  # the producer of 500 ms has answered, in vain
    each_has([first, second], {"my_topic": [documented_answer(0, "my_topic")]})

    dispatcher.send_request("topic2", 3, 4, 5, ttl=1000, keyword="b")
    each_has([first], {"topic2": [documented_answer(1, "topic2")]})
    assert second.responses == {}

    dispatcher.deregister_result_listener(second, "my_topic")
    dispatcher.deregister_result_producer(producers[0], "topic1")
    for producer, topic in produced:
        dispatcher.deregister_result_producer(producer, topic)  # one of them a second time
    for listener, topic in heard:
        dispatcher.deregister_result_listener(listener, topic)
    dispatcher.stop()
    for member in (*producers, *listeners):
        member.stop()
        member.join(seconds(5))
        assert not member.is_alive()
    assert not dispatcher.is_alive()


# --- requests and their results


def test_each_listener_gets_the_results_in_the_order_of_their_coming() -> None:
    listeners = [Listener(), Listener()]
    with dispatching(Echo("slow", 150), Echo("quick"), *listeners) as dispatcher:
        dispatcher.send_request("topic", 1, key="value")
        for listener in listeners:
            assert [listener.result()["label"] for _ in range(2)] == ["quick", "slow"]
            summary = listener.done()
            assert (summary.producers, summary.results, summary.errors, summary.silent) == (2, 2, 0, 0)
            assert 150 <= summary.elapsed_ms < 5000


def test_one_producer_answers_in_the_order_of_the_requests() -> None:
    listener = Listener()
    with dispatching(Echo("e"), listener) as dispatcher:
        for number in range(5000):
            dispatcher.send_request("topic", number)
        assert [listener.result()["args"] for _ in range(5000)] == [(number,) for number in range(5000)]


def test_a_request_ends_when_all_have_answered_and_not_at_its_ttl() -> None:
    listener = Listener()
    with dispatching(Echo("e"), listener) as dispatcher:
        dispatcher.send_request("topic", ttl=NEVER_MS)
        assert listener.done().elapsed_ms < 5000
        assert dispatcher.stats.pending == 0


def test_a_request_of_a_topic_without_producers_ends_at_once() -> None:
    listener = Listener()
    with dispatching(listener) as dispatcher:
        dispatcher.send_request("topic", ttl=NEVER_MS)
        summary = listener.done()
    assert (summary.producers, summary.results, summary.errors, summary.silent) == (0, 0, 0, 0)
    assert summary.elapsed_ms < 1000


def test_a_request_of_an_unknown_topic_is_a_no_op() -> None:
    listener = Listener()
    with dispatching(Echo("e"), listener) as dispatcher:
        dispatcher.send_request("nobody knows it", 1)
        dispatcher.send_request("topic", 2)
        assert listener.result()["args"] == (2,)
        assert dispatcher.stats.pending == 0


def test_a_request_ends_at_its_ttl_and_who_has_not_answered_is_silent() -> None:
    listener, held = Listener(), Held()
    with dispatching(held, Echo("e"), listener) as dispatcher:
        dispatcher.send_request("topic", "x", ttl=200)
        summary = listener.done()
        assert (summary.producers, summary.results, summary.silent) == (2, 1, 1)
        assert 200 <= summary.elapsed_ms < 200 + seconds(1) * 1000
        held.gate.set()
        assert wait_until(lambda: dispatcher.stats.late == 1)
        assert [topic for topic, _ in listener.results] == ["topic"]


def test_each_request_ends_at_its_own_ttl_whatever_the_order_of_sending() -> None:
    listener, held = Listener(), Held()
    with dispatching(held, listener) as dispatcher:
        for ttl in (NEVER_MS, 300, 100.5, 200):
            dispatcher.send_request("topic", ttl=ttl)
        ends = [listener.done().elapsed_ms for _ in range(3)]
        assert [end // 100 * 100 for end in ends] == pytest.approx([100, 200, 300], abs=90)
        assert ends == sorted(ends)
        assert dispatcher.stats.pending == 1


def test_the_counts_of_a_summary_are_exact_and_it_comes_after_the_results() -> None:
    order: list[str] = []

    class Ordered(ResultListener):
        def process_dispatcher_result(self, topic: str, response: Any) -> None:
            order.append("result")

        def process_dispatcher_error(self, topic: str, producer: object, error: BaseException) -> None:
            order.append("error")

        def process_dispatcher_done(self, topic: str, summary: DispatchSummary) -> None:
            assert (summary.producers, summary.results, summary.errors, summary.silent) == (5, 4, 1, 0)
            order.append("done")

    with dispatching(*(Echo(str(n)) for n in range(4)), Failing(), Ordered()) as dispatcher:
        for _ in range(200):
            dispatcher.send_request("topic", ValueError("no"))
        assert wait_until(lambda: order.count("done") == 200)
    for end in (index for index, word in enumerate(order) if word == "done"):
        before = order[: end + 1]
        assert before.count("result") >= 4 * before.count("done")
    assert (order.count("result"), order.count("error")) == (800, 200)


def test_a_producer_with_several_threads_works_on_several_requests() -> None:
    held, listener = Held(concurrency=3), Listener()
    with dispatching(held, listener) as dispatcher:
        for number in range(4):
            dispatcher.send_request("topic", number)
        for _ in range(3):
            assert held.begun.acquire(timeout=seconds(10))
        assert held.waiting == 1
        held.gate.set()
        assert sorted(listener.result() for _ in range(4)) == [0, 1, 2, 3]
    assert not any(thread.is_alive() for thread in held.threads)


def test_a_producer_may_ask_others_and_itself() -> None:
    listener = Listener()

    class Chain(Producer):
        def produce_dispatcher_output(self, topic: str, *args: Any, **kwargs: Any) -> Any:
            if args[0]:
                dispatcher.send_request(topic, args[0] - 1)
            return args[0]

    with dispatching(Chain(), listener) as dispatcher:
        dispatcher.send_request("topic", 50)
        assert [listener.result() for _ in range(51)] == list(range(50, -1, -1))


def test_requests_of_several_threads_are_all_answered_once() -> None:
    listener = Listener()
    senders = 4
    each = 2000
    with dispatching(Echo("a", concurrency=2), Echo("b"), listener) as dispatcher:

        def send(sender: int) -> None:
            for number in range(each):
                dispatcher.send_request("topic", sender, number)

        threads = [threading.Thread(target=send, args=(sender,)) for sender in range(senders)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert wait_until(lambda: len(listener.results) >= 2 * senders * each, within=30)
        expected = sorted((label, s, n) for label in "ab" for s in range(senders) for n in range(each))
        got = sorted((response["label"], *response["args"]) for _, response in listener.results)
        assert got == expected
        assert dispatcher.stats.pending == 0


def test_a_listener_that_is_registered_twice_hears_everything_once() -> None:
    echo, listener = Echo("e"), Listener()
    with dispatching(echo, listener) as dispatcher:
        dispatcher.register_result_listener(listener, "topic")
        dispatcher.register_result_producer(echo, "topic")
        dispatcher.send_request("topic", 1)
        assert listener.done().producers == 1
        assert len(listener.results) == 1
        dispatcher.deregister_result_producer(echo, "topic")  # once is enough to undo it, too
        dispatcher.send_request("topic", 2)
        assert listener.done().producers == 0


def test_deregistering_what_is_not_registered_is_a_no_op() -> None:
    with dispatching() as dispatcher:
        dispatcher.deregister_result_producer(Echo("e"), "topic")
        dispatcher.deregister_result_listener(Listener(), "topic")


# --- errors


def test_what_a_producer_raises_is_reported_and_harms_nobody(caplog: pytest.LogCaptureFixture) -> None:
    listener, plain, failing = Listener(), Plain(), Failing()
    with dispatching(failing, Echo("e"), listener, plain) as dispatcher:
        for error in (KeyError("x"), SystemExit(3)):
            dispatcher.send_request("topic", error)
            assert listener.error() == ("topic", failing, error)
            assert listener.result()["label"] == "e"
            assert (summary := listener.done()).errors == 1
            assert summary.results == 1
        assert wait_until(lambda: len(plain.results) == 2)
        assert dispatcher.stats.errors == 2
    assert caplog.records == []


def test_an_error_that_no_listener_takes_is_logged_with_its_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with dispatching(Failing(), Plain()) as dispatcher:
        for _ in range(3):
            dispatcher.send_request("topic", ValueError("nobody takes this"))
        assert wait_until(lambda: dispatcher.stats.errors == 3)
    (record,) = caplog.records  # the others are held back for a minute
    assert record.exc_info is not None
    assert "failed on topic" in record.message
    assert "produce_dispatcher_output" in (record.exc_text or "")


def test_a_listener_that_raises_is_logged_and_gets_the_next_result(caplog: pytest.LogCaptureFixture) -> None:
    class Angry(Listener):
        def process_dispatcher_result(self, topic: str, response: Any) -> None:
            if response["args"] == (1,):
                raise RuntimeError("not this one")
            super().process_dispatcher_result(topic, response)

    listener = Angry()
    with dispatching(Echo("e"), listener) as dispatcher:
        dispatcher.send_request("topic", 1)
        dispatcher.send_request("topic", 2)
        assert listener.result()["args"] == (2,)
    assert "process_dispatcher_result" in caplog.text
    assert "not this one" in caplog.text


def test_a_listener_whose_method_has_no_name_may_raise_too(caplog: pytest.LogCaptureFixture) -> None:
    def fail(prefix: str, topic: str, summary: DispatchSummary) -> None:
        raise ValueError(f"{prefix} {topic}")

    listener = Listener()
    listener.process_dispatcher_done = partial(fail, "cannot take")  # type: ignore[method-assign]
    with dispatching(Echo("a"), listener) as dispatcher:
        for number in range(2):
            dispatcher.send_request("topic", number)
        assert [listener.result()["args"] for _ in range(2)] == [(0,), (1,)]
        assert wait_until(lambda: len(caplog.records) == 2)
    assert all("cannot take topic" in str(record.exc_info) for record in caplog.records)


def test_a_base_class_without_its_method_says_which_is_missing() -> None:
    listener, producer = Listener(), Producer()
    with dispatching(producer, listener) as dispatcher:
        dispatcher.send_request("topic")
        _, who, error = listener.error()
        assert who is producer
        assert isinstance(error, NotImplementedError)
        assert "produce_dispatcher_output" in str(error)
    with pytest.raises(NotImplementedError, match="process_dispatcher_result"):
        ResultListener().process_dispatcher_result("topic", 1)


def test_a_full_producer_refuses_new_requests_and_answers_those_it_has() -> None:
    held, listener = Held(capacity=3), Listener()
    with dispatching(held, listener) as dispatcher:
        dispatcher.send_request("topic", 0, ttl=NEVER_MS)
        assert held.begun.acquire(timeout=seconds(10))
        for number in range(1, 6):
            dispatcher.send_request("topic", number, ttl=NEVER_MS)
        for _ in range(2):
            topic, producer, error = listener.error()
            assert (topic, producer) == ("topic", held)
            assert isinstance(error, FlowError)
            assert "3 items wait" in str(error)
            assert listener.done().errors == 1
        held.gate.set()
        assert [listener.result() for _ in range(4)] == [0, 1, 2, 3]
        dispatcher.send_request("topic", 6)
        assert listener.result() == 6


def test_a_full_listener_loses_new_results_and_they_are_counted() -> None:
    listener = Plain()
    few = ResultListener(capacity=2)
    with dispatching(Echo("e"), listener) as dispatcher:
        dispatcher.register_result_listener(few, "topic")  # never started
        for number in range(5):
            dispatcher.send_request("topic", number)
        assert wait_until(lambda: len(listener.results) == 5)
        assert dispatcher.stats.dropped == 3
        assert few.waiting == 2


# --- what is left behind


@pytest.mark.slow
def test_50_000_requests_that_nobody_answers_leave_nothing_behind() -> None:
    count = 50_000
    held, unstarted, listener = Held(), Echo("unstarted"), Plain()
    with dispatching(held, listener) as dispatcher:
        dispatcher.register_result_producer(unstarted, "topic")
        dispatcher.send_request("topic", "it is busy with this", ttl=NEVER_MS)
        assert held.begun.acquire(timeout=seconds(10))
        unstarted._dispatch_mailbox.clear()
        gc.collect()
        tracemalloc.start()
        try:
            before = tracemalloc.get_traced_memory()[0]
            for number in range(count):
                dispatcher.send_request("topic", number, ttl=100)
            assert wait_until(lambda: dispatcher.stats.pending == 1, within=30)
            assert wait_until(lambda: held.waiting == unstarted.waiting == 0)
            gc.collect()
            kept = tracemalloc.get_traced_memory()[0] - before
        finally:
            tracemalloc.stop()
        assert dispatcher.stats.silent == 2 * count
        assert kept < 500_000, f"{kept / count:.0f} bytes a request"


def test_requests_that_are_answered_leave_nothing_behind_though_their_ttl_is_far() -> None:
    listener = Plain()
    with dispatching(Echo("e"), listener) as dispatcher:
        tracemalloc.start()
        try:
            before = tracemalloc.get_traced_memory()[0]
            for _ in range(20):
                for _ in range(1000):
                    dispatcher.send_request("topic", ttl=NEVER_MS)
                assert wait_until(lambda: len(listener.results) == 1000)
                listener.results.clear()
            gc.collect()
            kept = tracemalloc.get_traced_memory()[0] - before
        finally:
            tracemalloc.stop()
        assert dispatcher.stats.pending == 0
        assert kept < 1_000_000


def test_what_waits_beyond_its_ttl_is_not_begun() -> None:
    held, listener = Held(), Listener()
    with dispatching(held, listener) as dispatcher:
        dispatcher.send_request("topic", "first", ttl=NEVER_MS)
        assert held.begun.acquire(timeout=seconds(10))
        dispatcher.send_request("topic", "long", ttl=NEVER_MS)
        dispatcher.send_request("topic", "short", ttl=50)
        assert listener.done().silent == 1
        assert wait_until(lambda: held.waiting == 1)
        held.gate.set()
        assert [listener.result(), listener.result()] == ["first", "long"]
        assert held.handled == ["first", "long"]


# --- bad input


@pytest.mark.parametrize("ttl", [0, -1, -0.5, float("nan"), float("inf"), "5000", None, True, [5]])
def test_a_ttl_that_is_no_number_above_0_is_an_error_of_the_caller(ttl: Any) -> None:
    with dispatching(Echo("e")) as dispatcher:
        with pytest.raises(ConfigurationError, match="milliseconds > 0"):
            dispatcher.send_request("topic", ttl=ttl)
        assert dispatcher.stats.requests == 0


@pytest.mark.parametrize("topic", [None, 3, b"topic", ["topic"]])
def test_a_topic_that_is_no_str_is_an_error_of_the_caller(topic: Any) -> None:
    unstarted = ATEDispatcher()
    with dispatching(Echo("e")) as dispatcher:
        calls: list[Callable[[], object]] = [
            lambda: dispatcher.send_request(topic),
            lambda: unstarted.send_request(topic),
            lambda: dispatcher.register_result_producer(Echo("e"), topic),
            lambda: dispatcher.register_result_listener(Listener(), topic),
            lambda: dispatcher.deregister_result_producer(Echo("e"), topic),
            lambda: dispatcher.deregister_result_listener(Listener(), topic),
        ]
        for call in calls:
            with pytest.raises(TopicError, match="a topic must be a str"):
                call()


def test_objects_of_the_wrong_class_are_an_error_of_the_caller() -> None:
    with dispatching() as dispatcher:
        for wrong in (Listener(), object(), Echo, None):
            with pytest.raises(ConfigurationError, match="only a Producer can"):
                dispatcher.register_result_producer(wrong, "topic")  # type: ignore[arg-type]
            with pytest.raises(ConfigurationError, match="only a Producer can"):
                dispatcher.deregister_result_producer(wrong, "topic")  # type: ignore[arg-type]
        for wrong in (Echo("e"), "topic", ResultListener):
            with pytest.raises(ConfigurationError, match="only a ResultListener can"):
                dispatcher.register_result_listener(wrong, "topic")  # type: ignore[arg-type]
            with pytest.raises(ConfigurationError, match="only a ResultListener can"):
                dispatcher.deregister_result_listener(wrong, "topic")  # type: ignore[arg-type]


def test_a_class_that_forgets_the_constructor_of_its_base_is_told_so() -> None:
    class Forgetful(Producer):
        def __init__(self) -> None:
            self.label = "x"

    with dispatching() as dispatcher, pytest.raises(LifecycleError, match=r"super\(\).__init__\(\)"):
        dispatcher.register_result_producer(Forgetful(), "topic")


@pytest.mark.parametrize("number", [0, -1, 1.5, "2", None, True])
def test_counts_are_whole_numbers_from_1_on(number: Any) -> None:
    for make in (
        lambda: Echo("e", concurrency=number),
        lambda: Echo("e", capacity=number),
        lambda: ResultListener(capacity=number),
    ):
        with pytest.raises(ConfigurationError, match="must be an integer ≥ 1"):
            make()


# --- start and stop


@pytest.mark.parametrize("ttl", [sys.maxsize, 10**400, 1e300])
def test_a_ttl_of_ages_is_one_of_ten_years(ttl: float) -> None:
    """Deadlines so far away are different floats still, and what waits for the start does not break it."""
    listener = Listener()
    echo = Echo("a")
    dispatcher = ATEDispatcher()
    dispatcher.register_result_producer(echo, "topic")
    dispatcher.register_result_listener(listener, "topic")
    for number in range(100):
        dispatcher.send_request("topic", number, ttl=ttl)
    dispatcher.start()
    try:
        deadlines = list(dispatcher._open_requests._pending._items)
        assert len(deadlines) == 100
        assert max(deadlines) - min(deadlines) < seconds(10)
        echo.start()
        listener.start()
        assert [listener.result()["args"] for _ in range(100)] == [(number,) for number in range(100)]
        assert 0 < listener.done().elapsed_ms < seconds(10) * 1000
    finally:
        dispatcher.stop()


def test_requests_before_the_start_wait_for_it() -> None:
    listener = Listener()
    echo = Echo("e")
    dispatcher = ATEDispatcher()
    dispatcher.register_result_producer(echo, "topic")
    dispatcher.register_result_listener(listener, "topic")
    for number in range(3):
        dispatcher.send_request("topic", number)
    for member in (echo, listener):
        member.start()
    assert dispatcher.stats.requests == 0
    dispatcher.start()
    assert [listener.result()["args"] for _ in range(3)] == [(0,), (1,), (2,)]
    assert dispatcher.stop() == []


def test_the_ttl_of_a_request_before_the_start_counts_from_the_start() -> None:
    listener = Listener()
    listener.start()
    dispatcher = ATEDispatcher()
    dispatcher.register_result_listener(listener, "topic")
    dispatcher.register_result_producer(Echo("unstarted"), "topic")
    dispatcher.send_request("topic", ttl=100)
    threading.Event().wait(0.15)
    dispatcher.start()
    summary = listener.done()
    assert summary.silent == 1
    assert summary.elapsed_ms >= 100
    dispatcher.stop()


def test_a_producer_that_is_started_late_answers_what_is_still_wanted() -> None:
    late, listener = Echo("late"), Listener()
    with dispatching(listener) as dispatcher:
        dispatcher.register_result_producer(late, "topic")
        dispatcher.send_request("topic", "gone", ttl=50)
        dispatcher.send_request("topic", "wanted", ttl=NEVER_MS)
        assert listener.done().silent == 1
        late.start()
        assert listener.result()["args"] == ("wanted",)


def test_what_is_started_twice_says_so() -> None:
    echo = Echo("e")
    with dispatching(echo) as dispatcher:
        for thread in (dispatcher, echo):
            with pytest.raises(LifecycleError, match="started already"):
                thread.start()


def test_stop_ends_everything_that_is_registered() -> None:
    before = set(threading.enumerate())
    members: list[Producer | ResultListener] = [Echo("a", concurrency=3), Echo("b"), Listener(), Listener()]
    with dispatching(*members) as dispatcher:
        dispatcher.send_request("topic")
        assert len(set(threading.enumerate()) - before) == 7
    assert set(threading.enumerate()) == before
    assert dispatcher.stop() == []


def test_after_the_stop_everything_but_deregistering_is_a_closed_error() -> None:
    echo, listener = Echo("e"), Listener()
    with dispatching(echo, listener) as dispatcher:
        pass
    calls: list[Callable[[], object]] = [
        lambda: dispatcher.send_request("topic"),
        lambda: dispatcher.register_result_producer(Echo("e"), "topic"),
        lambda: dispatcher.register_result_listener(Listener(), "topic"),
        lambda: dispatcher.register_result_producer(echo, "topic"),
        dispatcher.start,
    ]
    for call in calls:
        with pytest.raises(ClosedError, match="has been stopped"):
            call()
    dispatcher.deregister_result_producer(echo, "topic")
    dispatcher.deregister_result_listener(listener, "topic")


def test_a_dispatcher_that_was_never_started_can_be_stopped() -> None:
    dispatcher = ATEDispatcher()
    dispatcher.register_result_producer(Echo("e"), "topic")
    dispatcher.send_request("topic")
    assert dispatcher.stop() == []
    with pytest.raises(ClosedError):
        dispatcher.send_request("topic")


def test_requests_that_are_not_over_end_with_the_stop() -> None:
    held, listener = Held(), Listener()
    with dispatching(held, listener) as dispatcher:
        for number in range(3):
            dispatcher.send_request("topic", number, ttl=NEVER_MS)
        assert held.begun.acquire(timeout=seconds(10))
        stopper = threading.Thread(target=dispatcher.stop)
        stopper.start()
        assert [listener.done().silent for _ in range(3)] == [1, 1, 1]
        held.gate.set()
        stopper.join(seconds(10))
    assert held.handled == [0]
    assert dispatcher.stats.pending == 0


def test_stop_says_who_still_runs_when_its_time_is_up(caplog: pytest.LogCaptureFixture) -> None:
    held = Held(name="the one that hangs")
    with dispatching(held) as dispatcher:
        dispatcher.send_request("topic")
        assert held.begun.acquire(timeout=seconds(10))
        assert dispatcher.stop(50) == [held]
        assert "the one that hangs" in caplog.text


@pytest.mark.parametrize("kind", ["producer", "listener"])
def test_stop_may_be_called_from_within(kind: str) -> None:
    stopped = threading.Event()

    class Stopping(Echo):
        def produce_dispatcher_output(self, topic: str, *args: Any, **kwargs: Any) -> Any:
            if kind == "producer":
                dispatcher.stop()
                stopped.set()
            return 1

    class StoppingToo(Plain):
        def process_dispatcher_result(self, topic: str, response: Any) -> None:
            if kind == "listener":
                dispatcher.stop()
                stopped.set()

    members: list[Producer | ResultListener] = [Stopping("a"), Stopping("b"), StoppingToo(), StoppingToo()]
    with dispatching(*members) as dispatcher:
        dispatcher.send_request("topic")
        assert stopped.wait(seconds(4))  # less than what stop() waits at most: nobody waits for himself
    assert not any(member.is_alive() for member in members)


def test_stop_may_wait_for_as_long_as_it_takes() -> None:
    held = Held()
    with dispatching(held) as dispatcher:
        dispatcher.send_request("topic")
        assert held.begun.acquire(timeout=seconds(10))
        threading.Timer(0.05, held.gate.set).start()
        assert dispatcher.stop(timeout_ms=math.inf) == []
        assert not held.is_alive()


def test_a_listener_with_a_stop_of_its_own_does_not_hinder_the_others() -> None:
    class Stubborn(Listener):
        def stop(self) -> None:
            raise RuntimeError("not now")

    stubborn, listener = Stubborn(), Listener()
    with dispatching(Echo("a")) as dispatcher:
        for one in (stubborn, listener):
            one.start()
            dispatcher.register_result_listener(one, "topic")
        assert dispatcher.stop() == []
    assert not stubborn.is_alive()
    assert not listener.is_alive()


def test_many_may_stop_it_at_once() -> None:
    members: list[Producer | ResultListener] = [Echo("e"), Listener()]
    with dispatching(*members) as dispatcher:
        threads = [threading.Thread(target=dispatcher.stop) for _ in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(seconds(10))
            assert not thread.is_alive()


def test_a_stopped_producer_handles_what_it_has_and_is_reported_for_what_comes() -> None:
    held, listener = Held(), Listener()
    with dispatching(held, listener) as dispatcher:
        dispatcher.send_request("topic", 1)
        dispatcher.send_request("topic", 2)
        held.stop()
        dispatcher.send_request("topic", 3)
        _, producer, error = listener.error()
        assert producer is held
        assert isinstance(error, ClosedError)
        held.gate.set()
        assert [listener.result(), listener.result()] == [1, 2]
        held.join(seconds(10))
        assert not held.is_alive()
        with pytest.raises(ClosedError, match="has been stopped"):
            dispatcher.register_result_producer(held, "other")


def test_no_lock_is_held_while_user_code_runs() -> None:
    """A producer, a listener and a third thread use the dispatcher while each is within user code."""
    inside = threading.Barrier(3)

    class Meeting(Producer):
        def produce_dispatcher_output(self, topic: str, *args: Any, **kwargs: Any) -> Any:
            if args[0] == "meet":
                inside.wait(seconds(10))
                dispatcher.send_request("topic", "from the producer")
                dispatcher.register_result_producer(Echo("x"), "elsewhere")
                inside.wait(seconds(10))
            return args[0]

    class MeetingListener(Listener):
        def process_dispatcher_result(self, topic: str, response: Any) -> None:
            super().process_dispatcher_result(topic, response)
            if response == "first":
                inside.wait(seconds(10))
                dispatcher.send_request("topic", "from the listener")
                inside.wait(seconds(10))

    listener = MeetingListener()
    with dispatching(Meeting(), listener) as dispatcher:
        dispatcher.send_request("topic", "first")
        dispatcher.send_request("topic", "meet")
        inside.wait(seconds(10))
        dispatcher.send_request("topic", "from outside")
        inside.wait(seconds(10))
        got = {listener.result() for _ in range(5)}
    assert got == {"first", "meet", "from the producer", "from the listener", "from outside"}


def test_the_dispatcher_configures_no_logging() -> None:
    assert logging.getLogger("colugo.dispatcher").handlers == []

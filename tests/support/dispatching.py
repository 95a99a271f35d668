"""Producers and listeners for the tests of the dispatcher."""

import queue
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from colugo.dispatcher import ATEDispatcher, DispatchSummary, Producer, ResultListener
from tests.support.essentials import seconds


class Echo(Producer):
    """Returns what it is asked with its name, after a time."""

    def __init__(self, label: str, delay_ms: float = 0, **options: Any) -> None:
        super().__init__(**options)
        self.label = label
        self.delay_ms = delay_ms

    def produce_dispatcher_output(self, topic: str, *args: Any, **kwargs: Any) -> Any:
        if self.delay_ms:
            time.sleep(self.delay_ms / 1000)
        return {"label": self.label, "topic": topic, "args": args, "kwargs": kwargs}


class Held(Producer):
    """Works until it is let go.

    Attributes:
        begun: released once for each request that it begins.
        gate: what it waits for.
        handled: the first argument of each request that it has begun.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.begun = threading.Semaphore(0)
        self.gate = threading.Event()
        self.handled: list[Any] = []

    def produce_dispatcher_output(self, topic: str, *args: Any, **kwargs: Any) -> Any:
        self.handled.append(args[0] if args else None)
        self.begun.release()
        assert self.gate.wait(seconds(20))
        return args[0] if args else None


class Failing(Producer):
    """Raises what it is asked with."""

    def produce_dispatcher_output(self, topic: str, *args: Any, **kwargs: Any) -> Any:
        raise args[0]


class Listener(ResultListener):
    """Keeps what it gets, and lets tests wait for it."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.results: list[tuple[str, Any]] = []
        self._results: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
        self._errors: queue.SimpleQueue[tuple[str, Any, Any]] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[tuple[str, DispatchSummary]] = queue.SimpleQueue()

    def process_dispatcher_result(self, topic: str, response: Any) -> None:
        self.results.append((topic, response))
        self._results.put((topic, response))

    def process_dispatcher_error(self, topic: str, producer: object, error: BaseException) -> None:
        self._errors.put((topic, producer, error))

    def process_dispatcher_done(self, topic: str, summary: DispatchSummary) -> None:
        self._done.put((topic, summary))

    def result(self, within: float = 10.0) -> Any:
        """The next result."""
        return self._results.get(timeout=seconds(within))[1]

    def error(self, within: float = 10.0) -> tuple[str, Any, Any]:
        """The next error: topic, producer, exception."""
        return self._errors.get(timeout=seconds(within))

    def done(self, within: float = 10.0) -> DispatchSummary:
        """The next summary."""
        return self._done.get(timeout=seconds(within))[1]


class Plain(ResultListener):
    """Has only what every listener must have."""

    def __init__(self) -> None:
        super().__init__()
        self.results: list[tuple[str, Any]] = []

    def process_dispatcher_result(self, topic: str, response: Any) -> None:
        self.results.append((topic, response))


@contextmanager
def dispatching(
    *members: Producer | ResultListener, topic: str = "topic", **options: Any
) -> Iterator[ATEDispatcher]:
    """A dispatcher that runs, with members that run and are registered; all of them end with the block."""
    dispatcher = ATEDispatcher(**options)
    dispatcher.start()
    try:
        for member in members:
            member.start()
            if isinstance(member, Producer):
                dispatcher.register_result_producer(member, topic)
            else:
                dispatcher.register_result_listener(member, topic)
        yield dispatcher
    finally:
        for member in members:
            if isinstance(member, Held):
                member.gate.set()
        assert dispatcher.stop(seconds(20) * 1000) == []
        for member in members:  # those that were deregistered meanwhile, too: else the process would not end
            member.stop()
            if member.ident is not None and member is not threading.current_thread():
                member.join(seconds(20))

"""The base class of listeners."""

import logging
from typing import Any

from colugo.dispatcher.worker import Worker

DEFAULT_RESULTS = 100_000

_LOGGER = logging.getLogger(__name__)


class ResultListener(Worker):
    """The base class of listeners, which receive results; a thread that you start.

    Subclasses implement `process_dispatcher_result`, and call `super().__init__()`. Two more methods are
    called if a subclass has them: `process_dispatcher_error(topic, producer, error)` when a producer has
    raised or could not take a request, and `process_dispatcher_done(topic, summary)` when a request is
    over; `summary` is a `DispatchSummary`. All are called on this listener's thread, one at a time. An
    exception is logged with its traceback, and the next call is made.

    Args:
        capacity: the number of results, errors and summaries that may wait. Beyond that, new ones are
            dropped and counted.
        name: the thread's name; None for one made of the class's name.
        daemon: as for any thread.

    Raises:
        ConfigurationError: if the capacity is below 1.
    """

    def __init__(
        self, *, capacity: int = DEFAULT_RESULTS, name: str | None = None, daemon: bool | None = None
    ) -> None:
        super().__init__(concurrency=1, capacity=capacity, name=name, daemon=daemon)

    def process_dispatcher_result(self, topic: str, response: Any) -> None:
        """Take a result.

        Args:
            topic: the request's topic.
            response: the object that a producer has returned; all listeners get the same one.

        Raises:
            NotImplementedError: if the subclass does not implement it.
        """
        raise NotImplementedError(f"{type(self).__name__} needs a method process_dispatcher_result")

    def _handle_all(self) -> None:
        mailbox = self._dispatch_mailbox
        while True:
            item = mailbox.get()
            if item is None:
                return
            method, args = item
            try:
                method(*args)
            except BaseException:  # logged; the next results are handled
                _LOGGER.exception("%s of %r raised", getattr(method, "__name__", method), self.name)
            del item, method, args  # so that the last result can be freed before the next one comes

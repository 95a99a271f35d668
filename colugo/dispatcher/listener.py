"""Who gets results."""

import logging
from typing import Any

from colugo.dispatcher.worker import Worker

DEFAULT_RESULTS = 100_000

_LOGGER = logging.getLogger(__name__)


class ResultListener(Worker):
    """Base of what gets the results; a thread, which is to be started.

    Subclasses implement `process_dispatcher_result`, and call `super().__init__()`. Two more methods are
    called if a subclass has them: `process_dispatcher_error(topic, producer, error)` when a producer has
    raised or could not take a request, and `process_dispatcher_done(topic, summary)` when a request is
    over; `summary` is a `DispatchSummary`. All are called on this listener's thread, one after another. One
    that raises is logged with its traceback, and the next one is called.

    Args:
        capacity: how many results, errors and summaries may wait for it. Beyond that, new ones are dropped
            and counted.
        name: of the thread; None for one made of the class's name.
        daemon: as for any thread.

    Raises:
        ConfigurationError: if the number is below 1.
    """

    def __init__(
        self, *, capacity: int = DEFAULT_RESULTS, name: str | None = None, daemon: bool | None = None
    ) -> None:
        super().__init__(concurrency=1, capacity=capacity, name=name, daemon=daemon)

    def process_dispatcher_result(self, topic: str, response: Any) -> None:
        """Take a result.

        Args:
            topic: of the request.
            response: what a producer has returned. All listeners get the same object.

        Raises:
            NotImplementedError: if the subclass has none.
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
            except BaseException:  # logged; the next results are not to blame
                _LOGGER.exception("%s of %r raised", getattr(method, "__name__", method), self.name)
            del item, method, args  # else the last result is kept until the next one comes

"""The base class of producers."""

from typing import TYPE_CHECKING, Any

from colugo.dispatcher.worker import Worker

if TYPE_CHECKING:
    from colugo.dispatcher.request import Request

DEFAULT_REQUESTS = 100_000


class Producer(Worker):
    """The base class of producers, which answer requests; a thread that you start.

    Subclasses implement `produce_dispatcher_output`, and call `super().__init__()`.

    Args:
        concurrency: the number of requests that it handles at the same time, each on its own thread.
        capacity: the number of requests that may wait. Beyond that, a new one is refused, and counts as an
            error of this producer.
        name: the thread's name; None for one made of the class's name.
        daemon: as for any thread.

    Raises:
        ConfigurationError: if a number is below 1.
    """

    def __init__(
        self,
        *,
        concurrency: int = 1,
        capacity: int = DEFAULT_REQUESTS,
        name: str | None = None,
        daemon: bool | None = None,
    ) -> None:
        super().__init__(concurrency=concurrency, capacity=capacity, name=name, daemon=daemon)

    def produce_dispatcher_output(self, topic: str, *args: Any, **kwargs: Any) -> Any:
        """Answer a request; called on this producer's thread.

        An exception ends neither the producer nor the request: the listeners get it.

        Args:
            topic: the request's topic.
            *args: the positional arguments of `send_request`.
            **kwargs: its keyword arguments.

        Returns:
            The result, for the listeners of the topic.

        Raises:
            NotImplementedError: if the subclass does not implement it.
        """
        raise NotImplementedError(f"{type(self).__name__} needs a method produce_dispatcher_output")

    def _handle_all(self) -> None:
        mailbox = self._dispatch_mailbox
        while True:
            request: Request | None = mailbox.get()
            if request is None:
                return
            if request.over:  # before its turn
                continue
            try:
                value = self.produce_dispatcher_output(request.topic, *request.args, **request.kwargs)
            except BaseException as error:  # noqa: BLE001 - the next request must be handled
                request.failed(self, error)
            else:
                request.answered(value)
            del request  # so that it can be freed before the next one comes

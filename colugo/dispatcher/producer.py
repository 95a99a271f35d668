"""Who answers requests."""

from typing import TYPE_CHECKING, Any

from colugo.dispatcher.worker import Worker

if TYPE_CHECKING:
    from colugo.dispatcher.request import Request

DEFAULT_REQUESTS = 100_000


class Producer(Worker):
    """Base of what answers requests; a thread, which is to be started.

    Subclasses implement `produce_dispatcher_output`, and call `super().__init__()`.

    Args:
        concurrency: how many requests it works on at the same time, each on a thread of its own.
        capacity: how many requests may wait for it. Beyond that, a new one is refused, and counts as an error
            of this producer.
        name: of the thread; None for one made of the class's name.
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

        An exception ends neither the producer nor the request: it is reported to the listeners.

        Args:
            topic: of the request.
            *args: what `send_request` was given.
            **kwargs: the same.

        Returns:
            What the listeners of the topic get.

        Raises:
            NotImplementedError: if the subclass has none.
        """
        raise NotImplementedError(f"{type(self).__name__} needs a method produce_dispatcher_output")

    def _handle_all(self) -> None:
        mailbox = self._dispatch_mailbox
        while True:
            request: Request | None = mailbox.get()
            if request is None:
                return
            if request.over:  # before its turn came
                continue
            try:
                value = self.produce_dispatcher_output(request.topic, *request.args, **request.kwargs)
            except BaseException as error:  # noqa: BLE001 - whatever it is, the next request is not to blame
                request.failed(self, error)
            else:
                request.answered(value)
            del request  # else the last one is kept until the next one comes

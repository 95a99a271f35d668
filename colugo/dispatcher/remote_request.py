"""Requests of dispatchers on other nodes, whose listeners are there."""

from contextlib import suppress
from typing import Any

from colugo.dispatcher.mailbox import Mailbox
from colugo.dispatcher.request import LONGEST_TTL_MS, Request, RequestTracker
from colugo.dispatcher.sealed import SealedCodec
from colugo.errors import ClosedError, DecodeError, EncodeError, MessageTooLargeError
from colugo.patterns.requests.reply import Reply


class RemoteRequest(Request):
    """A request of another node for one producer; it replies to the survey.

    Args:
        tracker: keeps it until it is over.
        topic: its topic.
        question: the received message: ttl in milliseconds, arguments, and keywords.
        now: a time of the monotonic clock.
        mailbox: that of the producer.
        reply: the reply of the survey.
        codec: the codec of the reply.

    Raises:
        DecodeError: if the message is no request.
    """

    __slots__ = ("_codec", "_reply")

    def __init__(
        self,
        tracker: RequestTracker,
        topic: str,
        question: object,
        now: float,
        *,
        mailbox: Mailbox[Any],
        reply: Reply,
        codec: SealedCodec,
    ) -> None:
        ttl, args, kwargs = _parts(question)
        super().__init__(tracker, _NO_LISTENERS, topic, args, kwargs, ttl, now + ttl / 1000, (mailbox,))
        self._reply = reply
        self._codec = codec

    def answered(self, value: Any) -> None:
        """Send a result back, if it is in time."""
        try:
            sealed = self._codec.seal(value)
        except EncodeError as error:
            self.failed(self.mailboxes[0].owner, error)
            return
        if self.tracker.answered(self, value):
            with suppress(ClosedError):  # the node has stopped, which the other node notices
                try:
                    self._reply(sealed)
                except MessageTooLargeError as error:
                    self._reply.error(error)

    def failed(self, producer: object, error: BaseException) -> None:
        """Send an error back, if it is in time."""
        if self.tracker.failed(self, producer, error):
            with suppress(ClosedError):  # as above
                self._reply.error(error)


class _NoListeners:
    """The sink of requests whose listeners are on another node."""

    def on_result(self, request: Request, value: Any) -> None:
        """Do nothing: the reply carries the result."""

    def on_error(self, request: Request, producer: object, error: BaseException) -> bool:
        """Return True: the reply carries the error."""
        del request, producer, error
        return True

    def on_done(self, request: Request, now: float) -> None:
        """Do nothing: the other dispatcher has a clock of its own."""


_NO_LISTENERS = _NoListeners()


def _parts(question: object) -> tuple[float, tuple[Any, ...], dict[str, Any]]:
    match question:
        case [int() | float() as ttl, list() | tuple() as args, dict() as kwargs] if 0 < ttl < float(
            "inf"
        ) and all(isinstance(key, str) for key in kwargs):
            return min(ttl, LONGEST_TTL_MS), tuple(args), kwargs
    raise DecodeError(
        f"a request must be [milliseconds, arguments, keywords], not a {type(question).__name__}"
    )

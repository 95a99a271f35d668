"""Requests that another node has sent: its dispatcher has the listeners."""

from contextlib import suppress
from typing import Any

from colugo.dispatcher.checks import LONGEST_TTL_MS
from colugo.dispatcher.mailbox import Mailbox
from colugo.dispatcher.request import Judge, Request
from colugo.dispatcher.sealed import SealedCodec
from colugo.errors import ClosedError, DecodeError, EncodeError, MessageTooLargeError
from colugo.patterns.requests.reply import Reply


class ForeignRequest(Request):
    """One that comes from another node, for one producer; the reply goes back.

    Args:
        judge: keeps it until it is over.
        topic: of the request.
        question: what came: milliseconds it is waited for, arguments, and keywords.
        now: on the clock of deadlines.
        mailbox: of the producer.
        reply: answers it.
        codec: of the reply.

    Raises:
        DecodeError: if what came is no request.
    """

    __slots__ = ("_codec", "_reply")

    def __init__(
        self,
        judge: Judge,
        topic: str,
        question: object,
        now: float,
        *,
        mailbox: Mailbox[Any],
        reply: Reply,
        codec: SealedCodec,
    ) -> None:
        ttl, args, kwargs = _parts(question)
        super().__init__(judge, _NOWHERE, topic, args, kwargs, ttl, now + ttl / 1000, (mailbox,))
        self._reply = reply
        self._codec = codec

    def answered(self, value: Any) -> None:
        """Send a result back, if it is in time."""
        try:
            sealed = self._codec.seal(value)
        except EncodeError as error:
            self.failed(self.mailboxes[0].owner, error)
            return
        if self.judge.answered(self, value):
            with suppress(ClosedError):  # the node has stopped, and whoever asked knows that
                try:
                    self._reply(sealed)
                except MessageTooLargeError as error:
                    self._reply.error(error)

    def failed(self, producer: object, error: BaseException) -> None:
        """Send an error back, if it is in time."""
        if self.judge.failed(self, producer, error):
            with suppress(ClosedError):  # as above
                self._reply.error(error)


class _Nowhere:
    """The sink of what is heard elsewhere."""

    def on_result(self, request: Request, value: Any) -> None:
        """Nobody listens here."""

    def on_error(self, request: Request, producer: object, error: BaseException) -> bool:
        """Whoever asked is told."""
        del request, producer, error
        return True

    def on_done(self, request: Request, now: float) -> None:
        """Whoever asked has a clock as well."""


_NOWHERE = _Nowhere()


def _parts(question: object) -> tuple[float, tuple[Any, ...], dict[str, Any]]:
    match question:
        case [int() | float() as ttl, list() | tuple() as args, dict() as kwargs] if 0 < ttl < float(
            "inf"
        ) and all(isinstance(key, str) for key in kwargs):
            return min(ttl, LONGEST_TTL_MS), tuple(args), kwargs
    raise DecodeError(f"a request is [milliseconds, arguments, keywords], not a {type(question).__name__}")

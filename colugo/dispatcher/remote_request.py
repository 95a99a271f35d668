"""Requests of dispatchers on other nodes, whose listeners are there, and the codec between dispatchers."""

from contextlib import suppress
from typing import Any

from colugo.dispatcher.mailbox import Mailbox
from colugo.dispatcher.request import LONGEST_TTL_MS, Request, RequestTracker
from colugo.errors import ClosedError, ConfigurationError, DecodeError, EncodeError, MessageTooLargeError
from colugo.patterns.requests.reply import Reply
from colugo.protocol.codecs import Codec, resolve_codec


class SealedCodec(Codec):
    """Sends the bytes that `seal` has made.

    The sender's thread does the work, and gets the error of a message that cannot be encoded. On the wire it
    is the codec that it wraps, by name and by bytes.

    Raises:
        ConfigurationError: if `spec` is no codec, or takes messages of one class only.
    """

    def __init__(self, spec: Any) -> None:
        self._codec = resolve_codec(spec)
        self.name = self._codec.name
        try:
            self.seal([1, [], {}])
        except EncodeError as error:
            raise ConfigurationError(
                f'arguments and results need "msgpack", "json", "cbor", "pickle" or a Codec of your own that '
                f"takes lists and dicts, not {spec!r}: {error}"
            ) from error

    def seal(self, message: Any) -> bytes:
        """Encode a message; raise EncodeError if the codec cannot take it."""
        payload, _ = self._codec.pack(message)
        return bytes(payload)

    def encode(self, message: Any) -> bytes:
        """Return the bytes that `seal` has made."""
        sealed: bytes = message
        return sealed

    def decode(self, data: Any) -> Any:
        """Decode a received message."""
        return self._codec.unpack(data, text=False)


class RemoteRequest(Request):
    """A request of another node for one producer; it replies to the survey.

    Raises:
        DecodeError: if the question is none of `[ttl in milliseconds, arguments, keywords]`.
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

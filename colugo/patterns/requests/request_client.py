"""The request client: sends requests to the reply servers of a topic."""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from threading import get_ident
from typing import Any, get_args

from colugo.errors import ConfigurationError, RequestError, RequestTimeoutError
from colugo.net.runtime import Runtime
from colugo.patterns.base import check_size, check_timeout_ms
from colugo.patterns.callbacks import Handler, optional_handler
from colugo.patterns.requests.client_base import ClientBase
from colugo.patterns.requests.request_sender import Balance, PendingRequest, RequestSender
from colugo.protocol.advertisement import Advertisement, SocketKind
from colugo.protocol.description.socket_descriptions import RequestClientDescription


@dataclass(frozen=True, slots=True)
class RequestClientStats:
    """The counters of a request client.

    Attributes:
        sent: requests sent with `send` and `request`.
        replies: replies in time, errors included.
        timeouts: requests that were not answered in time.
        lost: requests that failed because their server was gone.
        late: replies that arrived after their request had ended, and were dropped.
        malformed: frames that were not of the wire format.
        pending: requests in flight now.
        servers: servers that are connected now.
    """

    sent: int
    replies: int
    timeouts: int
    lost: int
    late: int
    malformed: int
    pending: int
    servers: int


_ORDINARY_MS = 2**53
"""The bound below which a positive int is a valid timeout."""


def _ignore(reply: object) -> None:
    """Drop a reply; the callback of requests without one."""


class RequestClient(ClientBase[RequestSender]):
    """A request client sends requests to the reply servers of a topic; made by `Node.add_request_client`.

    Any number of requests may be in flight. A request that is sent while no server is connected waits for
    one until its timeout.
    """

    _kind = SocketKind.REPLY_SERVER
    _noun = "request client"
    _description = RequestClientDescription

    def __init__(
        self,
        runtime: Runtime,
        topic: str,
        on_connect: Callable[..., Any] | None = None,
        *,
        codec: Any = None,
        on_disconnect: Callable[..., Any] | None = None,
        balance: Balance = "round-robin",
        connect: Iterable[str] = (),
    ) -> None:
        if balance not in get_args(Balance):
            raise ConfigurationError(
                f"balance must be one of {', '.join(get_args(Balance))}, not {balance!r}"
            )
        self._balance: Balance = balance
        super().__init__(
            runtime, topic, on_connect, codec=codec, on_disconnect=on_disconnect, connect=connect
        )
        self._handlers_given: tuple[Any, Any, Any] = (None, None, None)
        self._handlers = self._make_handlers(None, None, None)
        self._start = self._sender.start

    @property
    def servers(self) -> list[Advertisement]:
        """The servers that are connected now."""
        return [link.peer for link in self._links.connected]

    @property
    def stats(self) -> RequestClientStats:
        """Counters so far."""
        sender = self._sender
        return RequestClientStats(
            sent=sender.sent,
            replies=sender.replies,
            timeouts=sender.timeouts,
            lost=sender.lost,
            late=sender.late,
            malformed=self._links.malformed,
            pending=sender.pending,
            servers=self._gate.count,
        )

    def send(
        self,
        message: Any,
        callback: Callable[..., Any] | None = None,
        timeout: int = 2000,
        timeout_handler: Callable[..., Any] | None = None,
        error_handler: Callable[..., Any] | None = None,
    ) -> None:
        """Send a request; the callback gets the reply. May be called from any thread.

        After the node has stopped, no callback is called.

        Args:
            message: str, bytes, or an object that the codec encodes.
            callback: `callback(reply)`; None to ignore the reply.
            timeout: time to wait for the reply, in milliseconds, including the wait for a server.
            timeout_handler: `timeout_handler()` or `timeout_handler(error)`, called at the timeout, and
                without an error_handler also for any other failure.
            error_handler: `error_handler(error)`, called with a `PeerLostError` if the server has
                disconnected, or a `RemoteError` if its callback raised.

        Raises:
            ConfigurationError: if the timeout is invalid.
            EncodeError: if the codec cannot encode the message.
            MessageTooLargeError: if it is over the node's `max_message_bytes`.
            ClosedError: if the node has stopped.
        """
        given = (callback, timeout_handler, error_handler)
        if given != self._handlers_given:  # usually the same as the last time
            self._handlers = self._make_handlers(*given)
            self._handlers_given = given
        self._submit(message, timeout, *self._handlers)

    async def request(self, message: Any, timeout_ms: int = 2000) -> Any:
        """Send a request and return the reply. May be awaited on any thread's loop.

        Args:
            message: str, bytes, or an object that the codec encodes.
            timeout_ms: time to wait for the reply, in milliseconds, including the wait for a server.

        Raises:
            RequestTimeoutError: if no reply arrives in time; the text tells whether a server is known.
            PeerLostError: if the server that has the request disconnects.
            RemoteError: if the server's callback raises.
            ConfigurationError: if the timeout is invalid.
            EncodeError: if the codec cannot encode the message.
            MessageTooLargeError: if it is over the node's `max_message_bytes`.
            RequestError: if the reply does not fit the codec (its cause is a `DecodeError`), or if the node
                stops meanwhile.
            ClosedError: if the node has stopped.
        """
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        request = self._submit(message, timeout_ms, *self._settlers(future))
        try:
            return await future
        except asyncio.CancelledError:
            if not self._runtime.closed:
                self._runtime.submit(self._sender.cancel, request)
            raise

    def _make_sender(self, label: str) -> RequestSender:
        return RequestSender(self._runtime, self.topic, self._codec, label, balance=self._balance)

    def _make_handlers(
        self,
        callback: Callable[..., Any] | None,
        timeout_handler: Callable[..., Any] | None,
        error_handler: Callable[..., Any] | None,
    ) -> tuple[Callable[[Any], None], Callable[[RequestError], None]]:
        """Return functions that take a reply, and an error."""
        runtime, topic = self._runtime, self.topic
        on_timeout = optional_handler(runtime, timeout_handler, f"timeout handler of {topic}", most=1)
        on_error = optional_handler(runtime, error_handler, f"error handler of {topic}", most=1)

        def failed(error: RequestError) -> None:
            if self._closed:  # after close(), no callback is called
                return
            handler = on_timeout if isinstance(error, RequestTimeoutError) else on_error or on_timeout
            if handler is not None:
                handler.run(error)
            else:
                runtime.logger.warning("a request on %s failed: %s", topic, error)

        if callback is None:
            return _ignore, failed
        return Handler(runtime, callback, f"reply callback of {topic}", least=1, most=1).run, failed

    def _submit(
        self,
        message: Any,
        timeout_ms: int,
        on_reply: Callable[[Any], None],
        on_error: Callable[[RequestError], None],
    ) -> PendingRequest:
        if type(timeout_ms) is not int or not 0 < timeout_ms < _ORDINARY_MS:
            check_timeout_ms(timeout_ms)
        self._check_open()
        payload, text = self._codec.pack(message)
        if len(payload) > self._limit:
            check_size(payload, self._limit)
        if type(payload) is not bytes:  # it may be changed before it is sent
            payload = bytes(payload)
        request = PendingRequest(payload, text, timeout_ms, on_reply, on_error)
        if get_ident() == self._runtime.owner:
            self._start(request)
        else:
            self._runtime.submit(self._start, request)
        return request

"""The asking side of request/reply."""

import asyncio
import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice
from threading import get_ident
from typing import Any, Literal, get_args

from colugo.errors import (
    ConfigurationError,
    PeerLostError,
    RequestError,
    RequestTimeoutError,
)
from colugo.net.runtime import Runtime
from colugo.net.transport.socket_reader import MoreToRead
from colugo.patterns.base import check_size, check_timeout_ms
from colugo.patterns.callbacks import Handler, optional_handler
from colugo.patterns.pace import FLUSH_AFTER_S, Pace
from colugo.patterns.requests.client_base import ClientBase
from colugo.patterns.requests.server_link import ServerLink
from colugo.protocol.advertisement import Advertisement, SocketKind
from colugo.protocol.description.socket_descriptions import RequestClientDescription
from colugo.protocol.error_report import decode_error
from colugo.protocol.requests.calls import FLAG_ERROR, FLAG_REFUSED, FLAG_TEXT, Call
from colugo.protocol.requests.pending import PendingRequests

Balance = Literal["round-robin", "least-outstanding"]


@dataclass(frozen=True, slots=True)
class RequestClientStats:
    """What a request client has done.

    Attributes:
        sent: requests taken in by `send` and `request`.
        replies: replies in time, errors included.
        timeouts: requests that were not answered in time.
        lost: requests that failed because their server was gone.
        late: replies that came after their request had ended, and were dropped.
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


@dataclass(eq=False, slots=True)
class _Request:
    payload: bytes
    text: bool
    timeout_ms: int
    on_reply: Callable[[Any], None]
    on_error: Callable[[RequestError], None]
    number: int = 0


_ORDINARY_MS = 2**53
"""Below this, an int needs no closer look."""


def _ignore(reply: object) -> None:
    """What becomes of a reply that nobody asked to get."""


class RequestClient(ClientBase):
    """Asks the reply servers of a topic; made by `Node.add_request_client`.

    Any number of requests may be in flight. A request that is sent while no server is known waits
    for one until its timeout.
    """

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
            raise ConfigurationError(f"balance is one of {', '.join(get_args(Balance))}, not {balance!r}")
        super().__init__(
            runtime,
            SocketKind.REPLY_SERVER,
            topic,
            on_connect,
            noun="request client",
            codec=codec,
            on_disconnect=on_disconnect,
            connect=connect,
        )
        self._handlers_given: tuple[Any, Any, Any] = (None, None, None)
        self._handlers = self._make_handlers(None, None, None)
        self._balance = balance
        self._pending: PendingRequests[_Request] = PendingRequests()
        self._waiting: dict[int, None] = {}
        self._gathering: set[ServerLink] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = math.inf
        self._pace = Pace(f"reply callback of {topic}", runtime.logger)
        self._sent = self._replies = self._timeouts = self._lost = self._late = 0
        runtime.when_open(self._open)

    @property
    def servers(self) -> list[Advertisement]:
        """The servers that are connected now."""
        return self._peers

    @property
    def stats(self) -> RequestClientStats:
        """Counters so far."""
        return RequestClientStats(
            sent=self._sent,
            replies=self._replies,
            timeouts=self._timeouts,
            lost=self._lost,
            late=self._late,
            malformed=self._malformed,
            pending=len(self._pending),
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

        When the node stops, none of the callbacks is called any more.

        Args:
            message: str, bytes, or what the codec takes.
            callback: `callback(reply)`; None to ignore the reply.
            timeout: milliseconds to wait for the reply, the wait for a server included.
            timeout_handler: `timeout_handler()` or `timeout_handler(error)`, called when there will
                be no reply: in time, or at all if there is no error_handler.
            error_handler: `error_handler(error)`, called instead with a `PeerLostError` (the server
                is gone) or `RemoteError` (its callback raised).

        Raises:
            EncodeError: if the codec cannot take the message.
            MessageTooLargeError: if it is over the node's `max_message_bytes`.
            ClosedError: after the node has stopped.
        """
        given = (callback, timeout_handler, error_handler)
        if given != self._handlers_given:  # mostly they are the same as the last time
            self._handlers = self._make_handlers(*given)
            self._handlers_given = given
        self._submit(message, timeout, *self._handlers)

    async def request(self, message: Any, timeout_ms: int = 2000) -> Any:
        """Send a request and return the reply. May be awaited on any thread's loop.

        Args:
            message: str, bytes, or what the codec takes.
            timeout_ms: milliseconds to wait, the wait for a server included.

        Raises:
            RequestTimeoutError: no reply in time; says whether a server is known at all.
            PeerLostError: the server that had the request is gone.
            RemoteError: the server's callback raised.
            EncodeError: if the codec cannot take the message.
            MessageTooLargeError: if it is over the node's `max_message_bytes`.
            RequestError: the reply does not fit the codec (its cause is a `DecodeError`), or the node stops
                meanwhile.
            ClosedError: the node has stopped.
        """
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        request = self._submit(message, timeout_ms, *self._settlers(future))
        try:
            return await future
        except asyncio.CancelledError:
            if not self._runtime.closed:
                self._runtime.submit(self._forget, request)
            raise

    def _make_handlers(
        self,
        callback: Callable[..., Any] | None,
        timeout_handler: Callable[..., Any] | None,
        error_handler: Callable[..., Any] | None,
    ) -> tuple[Callable[[Any], None], Callable[[RequestError], None]]:
        """What to do with a reply, and with an error."""
        runtime, topic = self._runtime, self.topic
        on_timeout = optional_handler(runtime, timeout_handler, f"timeout handler of {topic}", most=1)
        on_error = optional_handler(runtime, error_handler, f"error handler of {topic}", most=1)

        def failed(error: RequestError) -> None:
            if self._closed:  # the program's own stop: it calls nobody any more
                return
            handler = on_timeout if isinstance(error, RequestTimeoutError) else on_error or on_timeout
            if handler is not None:
                handler.run(error)
            else:
                runtime.logger.warning("a request on %s failed: %s", topic, error)

        if callback is None:
            return _ignore, failed
        return Handler(runtime, callback, f"reply callback of {topic}", least=1, most=1).run, failed

    def _shut(self) -> None:
        """Leave all servers; requests in flight fail with `ClosedError` as the cause."""
        if self._timer is not None:
            self._timer.cancel()
        super()._shut()
        for request in self._pending.take_all():
            request.on_error(self._closed_error())

    def _number_changed(self) -> None:
        super()._number_changed()
        if self._gate.count and self._waiting:
            waiting, self._waiting = self._waiting, {}
            for number in waiting:
                request = self._pending.get(number)
                if request is not None:
                    self._dispatch(number, request)

    def _lost_one(self, link: ServerLink, reason: str) -> None:
        for request in self._pending.take_server(link):
            self._lost_request(request, link)
        super()._lost_one(link, reason)

    def _lost_request(self, request: _Request, link: ServerLink) -> None:
        self._lost += 1
        request.on_error(PeerLostError(f"the server of the request is gone: {link.peer}"))

    def _submit(
        self,
        message: Any,
        timeout_ms: int,
        on_reply: Callable[[Any], None],
        on_error: Callable[[RequestError], None],
    ) -> _Request:
        if type(timeout_ms) is not int or not 0 < timeout_ms < _ORDINARY_MS:
            check_timeout_ms(timeout_ms)
        self._check_open()
        payload, text = self._codec.pack(message)
        if len(payload) > self._limit:
            check_size(payload, self._limit)
        if type(payload) is not bytes:  # it may be changed before it has left
            payload = bytes(payload)
        request = _Request(payload, text, timeout_ms, on_reply, on_error)
        if get_ident() == self._runtime.owner:
            self._start_request(request)
        else:
            self._runtime.submit(self._start_request, request)
        return request

    def _start_request(self, request: _Request) -> None:
        if self._closed:
            request.on_error(self._closed_error())
            return
        if not self._opened:  # the timeout runs from the start of the node on
            self._runtime.when_open(lambda: self._start_request(request))
            return
        self._sent += 1
        deadline = time.monotonic() + request.timeout_ms / 1000  # asyncio's clock is the same
        request.number = self._pending.add(request, deadline)
        if deadline < self._timer_at:
            self._set_timer()
        self._dispatch(request.number, request)

    def _dispatch(self, number: int, request: _Request) -> None:
        """Give a request to the next server, or let it wait for one."""
        if self._balance == "round-robin":
            link = self._links.next_in_turn()
        else:
            link = self._links.least(self._pending.outstanding)
        if link is None:
            self._waiting[number] = None
            return
        self._pending.assign(number, link)
        call = Call(number, FLAG_TEXT if request.text else 0, request.payload)
        if self._gathering is None:
            link.send(call)
        else:
            self._gathering.add(link)
            link.gather(call)

    def _on_replies(self, link: ServerLink, calls: list[Call]) -> MoreToRead | None:
        if len(calls) <= self._pace.size:
            self._take(link, calls)
            return None
        return self._take_in_turns(link, calls)

    def _take_in_turns(self, link: ServerLink, calls: list[Call]) -> MoreToRead:
        rest = iter(calls)
        while part := list(islice(rest, self._pace.size)):
            self._take(link, part)
            yield False

    def _take(self, link: ServerLink, calls: list[Call]) -> None:
        """Settle requests; what their callbacks ask leaves when all replies that are there have been read."""
        began = time.monotonic()
        if self._gathering is None:
            self._gathering = set()
        request = None
        try:
            for call in calls:
                request = self._pending.answer(call.correlation, link)
                if request is None:
                    self._late += 1
                else:
                    self._settle(request, call, link)
        except BaseException:
            self._flush()  # the reader of a link that was closed meanwhile will not see to it
            raise
        took = time.monotonic() - began
        self._pace.record(took, len(calls), request.on_reply if request else None)
        if took > FLUSH_AFTER_S:
            self._flush()

    def _flush(self) -> None:
        """Send what has been gathered while replies were read."""
        gathering, self._gathering = self._gathering, None
        for link in gathering or ():
            link.flush()

    def _settle(self, request: _Request, call: Call, link: ServerLink) -> None:
        if call.flags & FLAG_REFUSED:
            self._lost_request(request, link)
            return
        self._replies += 1
        if call.flags & FLAG_ERROR:
            request.on_error(decode_error(call.payload))
            return
        try:
            reply = self._codec.unpack(call.payload, text=bool(call.flags & FLAG_TEXT))
        except ValueError as error:
            request.on_error(self._decode_error(link, error))
            return
        request.on_reply(reply)

    def _forget(self, request: _Request) -> None:
        server = self._pending.server(request.number)
        self._pending.take(request.number)
        self._waiting.pop(request.number, None)
        if isinstance(server, ServerLink):
            server.forget(request.number)

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        deadline = self._pending.next_deadline()
        self._timer_at = math.inf if deadline is None else deadline
        if deadline is not None:
            self._timer = asyncio.get_running_loop().call_at(deadline, self._expire)

    def _expire(self) -> None:
        self._timer = None
        # a timer may fire one clock tick early (asyncio's _clock_resolution)
        now = time.monotonic() + 0.001
        try:
            for request, server in self._pending.take_expired(now):
                self._timeouts += 1
                self._waiting.pop(request.number, None)
                if isinstance(server, ServerLink):
                    server.forget(request.number)
                request.on_error(RequestTimeoutError(self._why_timeout(request, server)))
        finally:  # whatever a handler has raised, the others' time goes on
            self._set_timer()

    def _why_timeout(self, request: _Request, server: object) -> str:
        if isinstance(server, ServerLink):
            return f"no reply within {request.timeout_ms} ms from {server.peer}"
        if self._links.known:
            known = ", ".join(map(str, self._links.known))
            return f"no server of {self.topic!r} was connected within {request.timeout_ms} ms; known: {known}"
        return (
            f"no server of {self.topic!r} is known after {request.timeout_ms} ms "
            f"(realm {self._runtime.realm!r}, scope {self._runtime.scope})"
        )

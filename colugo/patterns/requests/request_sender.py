"""The sending side of a request client: balance over servers, timeouts, and replies."""

import asyncio
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal

from colugo.errors import PeerLostError, RequestError, RequestTimeoutError
from colugo.net.runtime import Runtime
from colugo.net.transport.socket_reader import MoreToRead
from colugo.patterns.pace import FLUSH_AFTER_S, Pace
from colugo.patterns.requests.server_links import SenderBase, ServerLink
from colugo.protocol.codecs import Codec
from colugo.protocol.error_report import decode_error
from colugo.protocol.requests.calls import FLAG_ERROR, FLAG_REFUSED, FLAG_TEXT, Call
from colugo.protocol.requests.pending import PendingRequests

Balance = Literal["round-robin", "least-outstanding"]


@dataclass(eq=False, slots=True)
class PendingRequest:
    """A request that waits for its reply; `number`, its correlation number, is 0 until it is started."""

    payload: bytes
    text: bool
    timeout_ms: int
    on_reply: Callable[[Any], None]
    on_error: Callable[[RequestError], None]
    number: int = 0


class RequestSender(SenderBase):
    """Sends requests to servers, and settles each with its reply, its timeout or the loss of its server.

    Its counters are those of `RequestClientStats`.
    """

    def __init__(self, runtime: Runtime, topic: str, codec: Codec, label: str, *, balance: Balance) -> None:
        super().__init__(runtime, topic, codec, label)
        self._balance = balance
        self._requests: PendingRequests[PendingRequest] = PendingRequests()
        self._waiting: dict[int, None] = {}
        self._gathering: set[ServerLink] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = math.inf
        self._pace = Pace(f"reply callback of {topic}", runtime.logger)
        self.sent = self.replies = self.timeouts = self.lost = self.late = 0

    @property
    def pending(self) -> int:
        """The number of requests in flight."""
        return len(self._requests)

    def close(self) -> None:
        """Fail all requests in flight, with `ClosedError` as the cause."""
        super().close()
        if self._timer is not None:
            self._timer.cancel()
        for request in self._requests.take_all():
            request.on_error(self._closed_error())

    def on_usable_changed(self) -> None:
        """Send the requests that wait for a server, if there is one."""
        if self._waiting and self._links.connected:
            waiting, self._waiting = self._waiting, {}
            for number in waiting:
                request = self._requests.get(number)
                if request is not None:
                    self._dispatch(number, request)

    def on_lost(self, link: ServerLink) -> None:
        """Fail the requests that a lost server has."""
        for request in self._requests.take_server(link):
            self._lose(request, link)

    def _lose(self, request: PendingRequest, link: ServerLink) -> None:
        self.lost += 1
        request.on_error(PeerLostError(f"the server of the request is gone: {link.peer}"))

    def start(self, request: PendingRequest) -> None:
        """Send a request, or make it wait for a server."""
        if self._closed:
            request.on_error(self._closed_error())
            return
        if not self._opened:  # the timeout counts from the start of the node
            self._runtime.when_open(lambda: self.start(request))
            return
        self.sent += 1
        deadline = time.monotonic() + request.timeout_ms / 1000  # asyncio's clock is the same
        request.number = self._requests.add(request, deadline)
        if deadline < self._timer_at:
            self._set_timer()
        self._dispatch(request.number, request)

    def _dispatch(self, number: int, request: PendingRequest) -> None:
        if self._balance == "round-robin":
            link = self._links.next_in_turn()
        else:
            link = self._links.least(self._requests.outstanding)
        if link is None:
            self._waiting[number] = None
            return
        self._requests.assign(number, link)
        call = Call(number, FLAG_TEXT if request.text else 0, request.payload)
        if self._gathering is None:
            link.send(call)
        else:
            self._gathering.add(link)
            link.gather(call)

    def on_replies(self, link: ServerLink, calls: list[Call]) -> MoreToRead | None:
        """Take replies that arrived together; if they are many, in parts."""
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
        """Settle requests. New requests of their callbacks leave when the socket has been drained."""
        began = time.monotonic()
        if self._gathering is None:
            self._gathering = set()
        request = None
        try:
            for call in calls:
                request = self._requests.answer(call.correlation, link)
                if request is None:
                    self.late += 1
                else:
                    self._settle(request, call, link)
        except BaseException:
            self.on_drained()  # a link that was closed meanwhile does not call it
            raise
        took = time.monotonic() - began
        self._pace.record(took, len(calls), request.on_reply if request else None)
        if took > FLUSH_AFTER_S:
            self.on_drained()

    def on_drained(self) -> None:
        """Send the requests that were gathered while replies were read."""
        gathering, self._gathering = self._gathering, None
        for link in gathering or ():
            link.flush()

    def _settle(self, request: PendingRequest, call: Call, link: ServerLink) -> None:
        if call.flags & FLAG_REFUSED:
            self._lose(request, link)
            return
        self.replies += 1
        if call.flags & FLAG_ERROR:
            request.on_error(decode_error(call.payload))
            return
        try:
            reply = self._codec.unpack(call.payload, text=bool(call.flags & FLAG_TEXT))
        except ValueError as error:
            request.on_error(self._decode_error(link, error))
            return
        request.on_reply(reply)

    def cancel(self, request: PendingRequest) -> None:
        """Forget a request that nothing waits for any more."""
        server = self._requests.server(request.number)
        self._requests.take(request.number)
        self._waiting.pop(request.number, None)
        if isinstance(server, ServerLink):
            server.discard(request.number)

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        deadline = self._requests.next_deadline()
        self._timer_at = math.inf if deadline is None else deadline
        if deadline is not None:
            self._timer = asyncio.get_running_loop().call_at(deadline, self._expire)

    def _expire(self) -> None:
        self._timer = None
        # a timer may fire one clock tick early (asyncio's _clock_resolution)
        now = time.monotonic() + 0.001
        try:
            for request, server in self._requests.take_expired(now):
                self.timeouts += 1
                self._waiting.pop(request.number, None)
                if isinstance(server, ServerLink):
                    server.discard(request.number)
                request.on_error(RequestTimeoutError(self._why_timeout(request, server)))
        finally:  # the other timeouts stay in force whatever a handler raises
            self._set_timer()

    def _why_timeout(self, request: PendingRequest, server: object) -> str:
        if isinstance(server, ServerLink):
            return f"no reply within {request.timeout_ms} ms from {server.peer}"
        if self._links.known:
            known = ", ".join(map(str, self._links.known))
            return (
                f"no server of {self._topic!r} was connected within {request.timeout_ms} ms; known: {known}"
            )
        return (
            f"no server of {self._topic!r} is known after {request.timeout_ms} ms "
            f"(realm {self._runtime.realm!r}, scope {self._runtime.scope})"
        )

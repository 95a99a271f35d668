"""What answers requests and surveys: a ROUTER whose callback gets each, and the answers to them."""

import os
import time
from collections.abc import Awaitable, Callable
from itertools import islice
from threading import get_ident
from typing import Any, ClassVar

from colugo.errors import Decline, FrameError, LifecycleError
from colugo.net.binding import Binding
from colugo.net.runtime import Runtime
from colugo.net.transport.socket_reader import MoreToRead, SocketReader
from colugo.patterns.base import Part, ThrottledWarnings, check_size
from colugo.patterns.callbacks import CALLBACK_ERRORS, Handler, is_awaitable, reraise_if_cancelled
from colugo.patterns.pace import PATIENCE_S, Pace
from colugo.patterns.requests.reply import Reply
from colugo.patterns.requests.reply_batches import ReplyBatches
from colugo.protocol.advertisement import SocketKind
from colugo.protocol.codecs import resolve_codec
from colugo.protocol.description.socket_descriptions import ReplyServerDescription
from colugo.protocol.frames import ID_BYTES, NO_ID, FrameKind
from colugo.protocol.requests.calls import (
    FLAG_DECLINED,
    FLAG_ERROR,
    FLAG_REFUSED,
    FLAG_TEXT,
    Call,
    decode_calls,
    split_envelope,
)
from colugo.protocol.topics import check_topic

_REFUSED_AT_ONCE = 256

_UNUSED = LifecycleError("a value that nobody gets: with two parameters, it answers by reply(value)")


class ServerBase(Part):
    """The base of the reply server and the respondent.

    Args:
        runtime: the node's.
        topic: its topic.
        callback: of one or two parameters.
        codec: for what comes and what is answered.
        port: TCP port; None for a free one.
    """

    _kind: ClassVar[SocketKind]
    """The kind that it is advertised as."""
    _description: ClassVar[type[ReplyServerDescription]]

    def __init__(
        self,
        runtime: Runtime,
        topic: str,
        callback: Callable[..., Any],
        *,
        codec: Any = None,
        port: int | None = None,
    ) -> None:
        self.topic = check_topic(topic)
        super().__init__(runtime)
        self._codec = resolve_codec(codec)
        self._may_decline = self._kind is SocketKind.RESPONDENT
        self._handler = Handler(runtime, callback, f"callback of {topic}", least=1, most=2)
        self._id = os.urandom(ID_BYTES)
        self._limit = runtime.sockets.max_message_bytes
        self._reader: SocketReader | None = None
        self._complaints = ThrottledWarnings(runtime)
        self._pace = Pace(self._handler.label, runtime.logger)
        self._requests = self._replies = self._errors = self._declined = 0
        self._undecodable = self._malformed = self._refused = 0
        self._socket = runtime.sockets.router()
        self._answers = ReplyBatches(self._socket, self._id)
        try:
            self._binding = Binding(
                runtime,
                self._socket,
                self._kind,
                topic,
                socket_id=self._id,
                codec=self._codec.name,
                port=port,
            )
        except BaseException:
            self._socket.close()
            raise
        runtime.when_open(self._open)

    @property
    def endpoints(self) -> list[str]:
        """Where it is bound, for peers that are given one instead of discovering it: tcp, then ipc."""
        return self._binding.endpoints

    @property
    def stats(self) -> object:
        """Counters so far."""
        raise NotImplementedError

    def describe(self) -> object:
        """Describe it for the node's description."""
        return self._description.of(
            self.stats,
            topic=self.topic,
            socket_id=self._id.hex(),
            codec=self._codec.name,
            endpoints=self.endpoints,
        )

    def _counters(self) -> dict[str, int]:
        """Return the counters that reply servers and respondents have in common."""
        return {
            "replies": self._replies,
            "errors": self._errors,
            "dropped": self._answers.dropped,
            "undecodable": self._undecodable,
            "malformed": self._malformed,
            "refused": self._refused,
        }

    def _shut(self) -> None:
        """Withdraw and close; replies that were sent still leave, for half a second at most."""
        self._binding.close()
        self._answers.close()
        if self._reader is not None:
            self._reader.close()
        self._socket.close()

    def _open(self) -> None:
        if not self._closed:
            self._reader = SocketReader(
                self._runtime.loop, self._socket, self._on_message, on_drained=self._answers.release
            )
            self._answers.open(self._reader)

    def _pack(self, message: Any) -> tuple[bytes, bool]:
        """The payload of a reply, and whether it is text."""
        payload, text = self._codec.pack(message)
        if len(payload) > self._limit:
            check_size(payload, self._limit)
        return payload if type(payload) is bytes else bytes(payload), text

    def _answer(
        self, identity: bytes, correlation: int, envelope: list[bytes] | None, body: list[bytes], flags: int
    ) -> None:
        """Send the answer to a request, which is its only one: `Reply` sees to that. From any thread."""
        if get_ident() != self._runtime.owner:
            self._runtime.submit(self._answer, identity, correlation, envelope, body, flags)
            return
        if self._closed:
            return
        self._replies += 1
        if flags & FLAG_ERROR:
            self._errors += 1
        elif flags & FLAG_DECLINED:
            self._declined += 1
        if envelope is None:
            self._answers.add(identity, Call(correlation, flags, body[0]))
        else:
            self._answers.send([identity, *envelope, *body], 1)

    def _on_message(self, frames: list[bytes]) -> MoreToRead | None:
        identity = frames[0]
        envelope, body = split_envelope(frames[1:])
        if envelope and len(body) == 1:
            began = time.monotonic()
            self._serve(Reply(self, identity, 0, envelope), body[0], text=False)
            self._pace.took(time.monotonic() - began, 1, self._handler.callback)
            return None
        try:
            if len(body) != 1:
                raise FrameError(f"a request is one frame, not {len(body)}")  # noqa: TRY301 - one place counts them
            requests = decode_calls(body[0], FrameKind.REQUEST)
        except FrameError as error:
            self._malformed += 1
            self._complaints.warn("malformed", f"a request on {self.topic} is malformed", error)
            if envelope:  # a plain REQ that sent several frames would wait for ever
                Reply(self, identity, 0, envelope).error(error)
            return None
        calls = requests.calls
        if requests.server not in (self._id, NO_ID):
            self._refused += len(calls)
            return self._refuse_in_turns(identity, calls)
        if len(calls) <= self._pace.size:
            self._serve_some(identity, calls)
            return None
        return self._serve_in_turns(identity, calls)

    def _serve_in_turns(self, identity: bytes, calls: list[Call]) -> MoreToRead:
        rest = iter(calls)
        while part := list(islice(rest, self._pace.size)):
            self._serve_some(identity, part)
            yield False

    def _refuse_in_turns(self, identity: bytes, calls: list[Call]) -> MoreToRead:
        for begin in range(0, len(calls), _REFUSED_AT_ONCE):
            self._answers.hold()
            for call in calls[begin : begin + _REFUSED_AT_ONCE]:
                self._answers.add(identity, Call(call.correlation, FLAG_REFUSED, b""))
            yield False

    def _serve_some(self, identity: bytes, calls: list[Call]) -> None:
        """Serve requests; what is answered at once leaves when all that are there have been read."""
        began = time.monotonic()
        self._answers.hold()
        for correlation, flags, payload in calls:
            if self._closed:  # by a callback
                return
            self._serve(Reply(self, identity, correlation, None), payload, text=bool(flags & FLAG_TEXT))
        took = time.monotonic() - began
        self._pace.took(took, len(calls), self._handler.callback)
        if took > PATIENCE_S:
            self._answers.release()

    def _serve(self, reply: Reply, payload: bytes, *, text: bool) -> None:
        self._requests += 1
        handler = self._handler
        try:
            message = self._codec.unpack(payload, text=text)
        except ValueError as error:
            self._undecodable += 1
            self._complaints.warn("undecodable", f"a request on {self.topic} does not decode", error)
            reply.error(error)
            return
        try:
            result = handler.callback(message) if handler.count == 1 else handler.callback(message, reply)
            if is_awaitable(result):
                self._runtime.spawn(self._serve_awaitable(reply, result), f"request on {self.topic}")
            elif handler.count == 1:
                reply(result)
            elif result is not None:
                self._complaints.warn("unused", f"the callback of {self.topic} returned", _UNUSED)
        except CALLBACK_ERRORS as error:
            self._failed(reply, error)

    async def _serve_awaitable(self, reply: Reply, awaitable: Awaitable[Any]) -> None:
        try:
            result = await awaitable
            if self._handler.count == 1:
                reply(result)
        except CALLBACK_ERRORS as error:
            reraise_if_cancelled(error)
            self._failed(reply, error)

    def _failed(self, reply: Reply, error: BaseException) -> None:
        if isinstance(error, Decline) and self._may_decline:
            if not reply.answered:
                reply.decline()
            return
        self._handler.failed(error)
        if not reply.answered:
            reply.error(error)

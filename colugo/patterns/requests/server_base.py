"""The base of reply servers and respondents: a ROUTER socket whose callback gets the requests."""

import os
import time
from collections.abc import Awaitable, Callable
from itertools import islice
from typing import Any, ClassVar

from colugo.errors import Decline, FrameError, LifecycleError
from colugo.net.binding import Binding
from colugo.net.runtime import Runtime
from colugo.net.transport.socket_reader import MoreToRead, SocketReader
from colugo.patterns.base import Part, ThrottledWarnings
from colugo.patterns.callbacks import CALLBACK_ERRORS, Handler, is_awaitable, reraise_if_cancelled
from colugo.patterns.pace import FLUSH_AFTER_S, Pace
from colugo.patterns.requests.reply import Reply, ReplySender
from colugo.patterns.requests.reply_batches import ReplyBatches
from colugo.protocol.advertisement import SocketKind
from colugo.protocol.codecs import resolve_codec
from colugo.protocol.description.socket_descriptions import ReplyServerDescription
from colugo.protocol.frames import ID_BYTES, NO_ID, FrameKind
from colugo.protocol.requests.calls import FLAG_REFUSED, FLAG_TEXT, Call, decode_calls, split_envelope
from colugo.protocol.topics import check_topic

_REFUSED_AT_ONCE = 256

_UNUSED = LifecycleError("a value that is ignored: a callback with two parameters answers with reply(value)")


class ServerBase(Part):
    """The base of the reply server and the respondent. Without a port, it is bound to a free one."""

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
        self._handler = Handler(runtime, callback, f"callback of {topic}", least=1, most=2)
        self._id = os.urandom(ID_BYTES)
        self._reader: SocketReader | None = None
        self._warnings = ThrottledWarnings(runtime)
        self._pace = Pace(self._handler.label, runtime.logger)
        self._requests = self._undecodable = self._malformed = self._refused = 0
        self._socket = runtime.sockets.router()
        self._batches = ReplyBatches(self._socket, self._id)
        self._sender = ReplySender(
            runtime, self._codec, self._batches, may_decline=self._kind is SocketKind.RESPONDENT
        )
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
        """The endpoints that it is bound to, for peers that do not discover it: tcp, then ipc."""
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
        return {
            "replies": self._sender.replies,
            "errors": self._sender.errors,
            "dropped": self._batches.dropped,
            "undecodable": self._undecodable,
            "malformed": self._malformed,
            "refused": self._refused,
        }

    def _shut(self) -> None:
        """Withdraw and close; replies that were sent still leave, for at most half a second."""
        self._binding.close()
        self._sender.close()
        self._batches.close()
        if self._reader is not None:
            self._reader.close()
        self._socket.close()

    def _open(self) -> None:
        if not self._closed:
            self._reader = SocketReader(
                self._runtime.loop, self._socket, self._on_message, on_drained=self._batches.release
            )
            self._batches.open(self._reader)

    def _on_message(self, frames: list[bytes]) -> MoreToRead | None:
        identity = frames[0]
        envelope, body = split_envelope(frames[1:])
        if envelope and len(body) == 1:
            began = time.monotonic()
            self._serve(Reply(self._sender, identity, 0, envelope), body[0], text=False)
            self._pace.record(time.monotonic() - began, 1, self._handler.callback)
            return None
        try:
            if len(body) != 1:
                raise FrameError(f"a request is one frame, not {len(body)}")  # noqa: TRY301 - one place counts them
            requests = decode_calls(body[0], FrameKind.REQUEST)
        except FrameError as error:
            self._malformed += 1
            self._warnings.warn("malformed", f"a request on {self.topic} is malformed", error)
            if envelope:  # a plain REQ socket that sent several frames would wait forever
                Reply(self._sender, identity, 0, envelope).error(error)
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
            self._batches.hold()
            for call in calls[begin : begin + _REFUSED_AT_ONCE]:
                self._batches.add(identity, Call(call.correlation, FLAG_REFUSED, b""))
            yield False

    def _serve_some(self, identity: bytes, calls: list[Call]) -> None:
        """Serve requests; immediate replies leave together when the socket has been drained."""
        began = time.monotonic()
        self._batches.hold()
        for correlation, flags, payload in calls:
            if self._closed:  # by a callback
                return
            self._serve(
                Reply(self._sender, identity, correlation, None), payload, text=bool(flags & FLAG_TEXT)
            )
        took = time.monotonic() - began
        self._pace.record(took, len(calls), self._handler.callback)
        if took > FLUSH_AFTER_S:
            self._batches.release()

    def _serve(self, reply: Reply, payload: bytes, *, text: bool) -> None:
        self._requests += 1
        handler = self._handler
        try:
            message = self._codec.unpack(payload, text=text)
        except ValueError as error:
            self._undecodable += 1
            self._warnings.warn("undecodable", f"a request on {self.topic} does not decode", error)
            reply.error(error)
            return
        try:
            result = handler.callback(message) if handler.count == 1 else handler.callback(message, reply)
            if is_awaitable(result):
                self._runtime.spawn(self._serve_awaitable(reply, result), f"request on {self.topic}")
            elif handler.count == 1:
                reply(result)
            elif result is not None:
                self._warnings.warn("unused", f"the callback of {self.topic} returned", _UNUSED)
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
        if isinstance(error, Decline) and self._sender.may_decline:
            if not reply.answered:
                reply.decline()
            return
        self._handler.failed(error)
        if not reply.answered:
            reply.error(error)

"""The serving side of request/reply."""

import inspect
import os
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import zmq

from colugo.errors import FrameError, LifecycleError
from colugo.net.reader import SocketReader
from colugo.net.runtime import Runtime
from colugo.net.sockets import bind
from colugo.patterns.base import Complaints, Part, check_size
from colugo.patterns.callbacks import CALLBACK_ERRORS, Handler, reraise_if_cancelled
from colugo.protocol.advertisement import Kind, endpoint
from colugo.protocol.codecs import resolve_codec
from colugo.protocol.error_report import encode_error, encode_plain_error
from colugo.protocol.frames import (
    FLAG_ERROR,
    FLAG_REFUSED,
    FLAG_TEXT,
    ID_BYTES,
    NO_ID,
    Call,
    decode_calls,
    encode_calls,
    split_envelope,
)
from colugo.protocol.frames import Kind as FrameKind
from colugo.protocol.topics import check_topic

_MAX_BACKLOG = 10_000
_RETRY_S = 0.01
_UNUSED = LifecycleError("a value that nobody gets: with two parameters, it answers by reply(value)")


@dataclass(frozen=True, slots=True)
class ReplyServerStats:
    """What a reply server has done.

    Attributes:
        requests: requests received.
        replies: replies sent, errors included.
        errors: of those, how many were errors.
        dropped: replies whose client had gone or did not read.
        undecodable: requests that did not fit the codec.
        malformed: messages that were neither ours nor of a REQ socket.
        refused: requests meant for a server that had this port before.
    """

    requests: int
    replies: int
    errors: int
    dropped: int
    undecodable: int
    malformed: int
    refused: int


class Reply:
    """Answers one request: `reply(message)`, once, at any time and from any thread.

    Args:
        pack: turns a message into its payload, and tells whether it is text.
        submit: takes the frames of the answer and their flags.
        plain: whether a plain ZeroMQ REQ has asked.
    """

    __slots__ = ("_answered", "_pack", "_plain", "_submit")

    def __init__(
        self,
        pack: Callable[[Any], tuple[bytes, bool]],
        submit: Callable[[list[bytes], int], None],
        *,
        plain: bool = False,
    ) -> None:
        self._pack = pack
        self._submit = submit
        self._plain = plain
        self._answered = False

    @property
    def answered(self) -> bool:
        """Whether it has been used."""
        return self._answered

    def __call__(self, message: Any) -> None:
        """Send the reply.

        Args:
            message: str, bytes, or what the server's codec takes.

        Raises:
            LifecycleError: if this request has been answered.
            EncodeError: if the codec cannot take the message.
            MessageTooLargeError: if it is over the node's `max_message_bytes`.
        """
        payload, text = self._pack(message)
        self._send([payload], FLAG_TEXT if text else 0)

    def error(self, error: BaseException) -> None:
        """Let the request fail: the client's side raises `RemoteError`.

        Args:
            error: the name of its class and its text travel.

        Raises:
            LifecycleError: if this request has been answered.
        """
        self._send(encode_plain_error(error) if self._plain else [encode_error(error)], FLAG_ERROR)

    def _send(self, body: list[bytes], flags: int) -> None:
        if self._answered:
            raise LifecycleError("this request has been answered already")
        self._answered = True
        self._submit(body, flags)


class ReplyServer(Part):
    """Answers requests of a topic; made by `Node.add_reply_server`."""

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
        self._limit = runtime.sockets.max_message_bytes
        self._backlog: dict[bytes, deque[list[bytes]]] = {}
        self._retrying = False
        self._reader: SocketReader | None = None
        self._complaints = Complaints(runtime)
        self._requests = self._replies = self._errors = self._dropped = 0
        self._undecodable = self._malformed = self._refused = 0
        self._socket = runtime.sockets.router()
        try:
            self._port = bind(self._socket, runtime.scope.addresses, port)
        except BaseException:
            self._socket.close()
            raise
        self._ipc = runtime.ipc.bind(self._socket, self._id)
        self._advertisement = runtime.advertisement(
            Kind.REPLY_SERVER, topic, self._port, codec=self._codec.name, socket_id=self._id
        )
        runtime.when_open(self._open)
        runtime.advertise(self._advertisement)

    @property
    def endpoints(self) -> list[str]:
        """Where it is bound, for peers that are given one instead of discovering it: tcp, then ipc."""
        return [endpoint(address, self._port) for address in self._runtime.scope.addresses] + self._ipc

    @property
    def stats(self) -> ReplyServerStats:
        """Counters so far."""
        return ReplyServerStats(
            requests=self._requests,
            replies=self._replies,
            errors=self._errors,
            dropped=self._dropped,
            undecodable=self._undecodable,
            malformed=self._malformed,
            refused=self._refused,
        )

    def _shut(self) -> None:
        """Withdraw and close; replies that were sent still leave, for half a second at most."""
        self._runtime.withdraw(self._advertisement)
        self._runtime.ipc.remove(self._ipc)
        if self._reader is not None:
            self._reader.close()
        self._socket.close()

    def _open(self) -> None:
        if not self._closed:
            self._reader = SocketReader(self._runtime.loop, self._socket, self._on_message)

    def _on_message(self, frames: list[bytes]) -> None:
        identity = frames[0]
        envelope, body = split_envelope(frames[1:])
        if envelope and len(body) == 1:
            self._serve(self._reply_to(identity, 0, envelope), body[0], text=False)
            return
        try:
            if len(body) != 1:
                raise FrameError(f"a request is one frame, not {len(body)}")  # noqa: TRY301 - one place counts them
            calls = decode_calls(body[0], FrameKind.REQUEST)
        except FrameError as error:
            self._malformed += 1
            self._complaints.warn("malformed", f"a request on {self.topic} is malformed", error)
            if envelope:  # a plain REQ that sent several frames would wait for ever
                self._reply_to(identity, 0, envelope).error(error)
            return
        if calls.server not in (self._id, NO_ID):
            self._refused += len(calls.calls)
            refusals = [Call(call.correlation, FLAG_REFUSED, b"") for call in calls.calls]
            self._send([identity, encode_calls(FrameKind.REPLY, self._id, refusals)])
            return
        for call in calls.calls:
            reply = self._reply_to(identity, call.correlation, None)
            self._serve(reply, call.payload, text=bool(call.flags & FLAG_TEXT))

    def _reply_to(self, identity: bytes, correlation: int, envelope: list[bytes] | None) -> Reply:
        submit = partial(self._runtime.submit, self._send_reply, identity, correlation, envelope)
        return Reply(self._pack, submit, plain=envelope is not None)

    def _pack(self, message: Any) -> tuple[bytes, bool]:
        payload, text = self._codec.pack(message)
        check_size(payload, self._limit)
        return payload, text

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
            result = handler(message, reply)
            if inspect.isawaitable(result):
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
        self._handler.failed(error)
        if not reply.answered:
            reply.error(error)

    def _send_reply(
        self, identity: bytes, correlation: int, envelope: list[bytes] | None, body: list[bytes], flags: int
    ) -> None:
        if self._closed:
            return
        self._replies += 1
        self._errors += bool(flags & FLAG_ERROR)
        if envelope is not None:
            self._send([identity, *envelope, *body])
        else:
            call = Call(correlation, flags, body[0])
            self._send([identity, encode_calls(FrameKind.REPLY, self._id, [call])])

    def _send(self, frames: list[bytes]) -> None:
        waiting = self._backlog.get(frames[0])
        if waiting is not None:
            if len(waiting) >= _MAX_BACKLOG:
                self._dropped += 1
            else:
                waiting.append(frames)
        elif not self._try_send(frames):
            self._backlog[frames[0]] = deque([frames])
            self._retry_later()

    def _try_send(self, frames: list[bytes]) -> bool:
        """Send if the client takes it or is gone; False if its pipe is full."""
        try:
            self._socket.send_multipart(frames, zmq.NOBLOCK)
        except zmq.Again:
            return False
        except zmq.ZMQError as error:
            if error.errno != zmq.EHOSTUNREACH:
                raise
            self._dropped += 1
        finally:
            if self._reader is not None:
                self._reader.kick()
        return True

    def _retry_later(self) -> None:
        """By a timer: a ROUTER is writable as soon as any of its peers is."""
        if not self._retrying:
            self._retrying = True
            self._runtime.loop.call_later(_RETRY_S, self._retry)

    def _retry(self) -> None:
        self._retrying = False
        if self._closed:
            return
        for identity, waiting in list(self._backlog.items()):
            while waiting and self._try_send(waiting[0]):
                waiting.popleft()
            if not waiting:
                del self._backlog[identity]
        if self._backlog:
            self._retry_later()

"""The node's own endpoint: tools send it questions, and other nodes link to it."""

import asyncio
import errno
import logging
import os
from collections.abc import Callable
from functools import partial
from typing import Any

import zmq
from tornado.ioloop import IOLoop

from colugo.errors import BindError, ConfigurationError, FrameError, RemoteError, RequestTimeoutError
from colugo.net.binding import Binding, BindingRuntime
from colugo.net.questions import Questions
from colugo.net.transport.port_choice import PortChoice
from colugo.net.transport.socket_reader import SocketReader
from colugo.net.transport.sockets import Sockets, connect
from colugo.net.transport.tasks import Tasks
from colugo.protocol.advertisement import NODE_TOPIC, SocketKind
from colugo.protocol.error_report import report_error
from colugo.protocol.frames import ID_BYTES, FrameKind
from colugo.protocol.membership.control import (
    MAX_ANSWER_BYTES,
    MAX_CONTROL_BYTES,
    Answer,
    Question,
    decode_body,
    decode_control,
    encode_control,
    is_of_other_version,
)
from colugo.protocol.throttle import Throttle

_HWM = 1000
_GONE = (errno.EAGAIN, errno.EHOSTUNREACH)


class NodeEndpoint:
    """A node's own ROUTER, on tcp only; frames of strangers are checked, and never raise."""

    def __init__(self, sockets: Sockets, choice: PortChoice, logger: logging.Logger, tasks: Tasks) -> None:
        self._sockets = sockets
        self._choice = choice
        self._logger = logger
        self.questions = Questions(self._reply, tasks, logger)
        self._routes: dict[FrameKind, Callable[[bytes, bytes], None]] = {FrameKind.QUESTION: self._answer}
        self._throttle = Throttle()
        self._socket: zmq.Socket[bytes] | None = None
        self._reader: SocketReader | None = None
        self.socket_id = os.urandom(ID_BYTES)
        self._binding: Binding | None = None
        self.malformed = 0
        """The number of malformed frames."""
        self.dropped = 0
        """The number of answers that were dropped: their connection had ended, or its queue was full."""

    def open(self, runtime: BindingRuntime) -> None:
        """Bind the socket, on the running loop, and advertise it. Frames wait until `listen()`.

        Raises:
            BindError: if the port cannot be had.
        """
        socket = self._sockets.router()
        socket.set(zmq.MAXMSGSIZE, MAX_CONTROL_BYTES)
        socket.set(zmq.SNDHWM, _HWM)
        socket.set(zmq.RCVHWM, _HWM)
        try:
            self._binding = self._bind(runtime, socket)
        except BaseException:
            socket.close()
            raise
        self._socket = socket

    def listen(self) -> None:
        """Read frames, now that all their handlers are in place."""
        if self._socket is not None:
            self._reader = SocketReader(IOLoop.current(), self._socket, self._on_message)

    def _bind(self, runtime: BindingRuntime, socket: zmq.Socket[bytes]) -> Binding:
        kind, topic, own_id = SocketKind.NODE, NODE_TOPIC, self.socket_id
        bind = partial(Binding, runtime, socket, kind, topic, socket_id=own_id, codec="json", ipc=False)
        try:
            return bind(port=self._choice.port)
        except BindError as error:
            if not self._choice.shared or error.errno != errno.EADDRINUSE:
                raise
        binding = bind(port=None)
        text = "COLUGO_PORT: another program has port %s; this node's endpoint has %s"
        self._logger.info(text, self._choice.port, binding.port)
        return binding

    @property
    def port(self) -> int:
        """The port; 0 if it is not open."""
        return self._binding.port if self._binding is not None else 0

    def advertise_linked(self, *, linked: bool) -> None:
        """Advertise if the node has links to nodes that mDNS does not reach."""
        if self._binding is not None:
            self._binding.advertise_linked(linked=linked)

    def route(self, kind: FrameKind, handler: Callable[[bytes, bytes], None]) -> None:
        """Call a handler with the frames of a kind.

        The handler is called with the connection's identity and the body; it may raise FrameError.
        """
        self._routes[kind] = handler

    def send(self, identity: bytes, frame: bytes) -> int:
        """Send a frame to a connection, without blocking.

        Returns:
            0 if it was sent; `errno.EAGAIN` if that connection's queue is full, `errno.EHOSTUNREACH` if it
            has ended.
        """
        if self._socket is None or self._reader is None:
            return errno.EHOSTUNREACH
        try:
            self._socket.send_multipart([identity, frame], zmq.NOBLOCK)
        except zmq.ZMQError as error:
            if error.errno not in _GONE:
                raise
            return error.errno
        finally:
            self._reader.kick()
        return 0

    def close(self) -> None:
        """Close the socket; answers in its queue are sent for half a second at most."""
        if self._reader is not None:
            self._reader.close()
        self.questions.close()
        if self._socket is not None:
            self._socket.close()
        if self._binding is not None:
            self._binding.close()
        self._reader = self._socket = self._binding = None

    def warn(self, subject: str, text: str) -> None:
        """Log a warning, once a minute for each subject."""
        more = self._throttle.note(subject, asyncio.get_running_loop().time())
        if more is not None:
            self._logger.warning("%s%s", text, more)

    def _on_message(self, frames: list[bytes]) -> None:
        try:
            if len(frames) != 2:  # noqa: PLR2004 - identity and frame
                raise FrameError(f"a message of {len(frames) - 1} frames")  # noqa: TRY301
            kind, body = decode_control(frames[1])
            if kind not in self._routes:
                raise FrameError(f"a frame of the kind {kind.name} is not expected here")  # noqa: TRY301
            self._routes[kind](frames[0], body)
        except FrameError as error:
            self.malformed += 1
            self.warn("malformed", f"the node's endpoint received a malformed frame: {error}")
            if len(frames) == 2 and is_of_other_version(frames[1]):  # noqa: PLR2004 - as above
                # in this version, whose number tells the other side the reason
                self._reply(frames[0], Answer(0, error=report_error(error)))

    def _answer(self, identity: bytes, body: bytes) -> None:
        self.questions.answer(identity, decode_body(body, Question))

    def _reply(self, identity: bytes, answer: Answer) -> None:
        try:
            frame = encode_control(FrameKind.ANSWER, answer)
            if len(frame) > MAX_ANSWER_BYTES:
                raise ValueError(f"the answer has {len(frame)} bytes; the limit is {MAX_ANSWER_BYTES}")  # noqa: TRY301
        except (TypeError, ValueError, RecursionError, UnicodeEncodeError) as error:
            frame = encode_control(FrameKind.ANSWER, Answer(answer.number, error=report_error(error)))
        if self.send(identity, frame):
            self.dropped += 1


async def ask(
    sockets: Sockets, endpoint: str, question: str, timeout_ms: float, arguments: dict[str, Any] | None = None
) -> Any:
    """Ask a node's endpoint, in any realm.

    Args:
        sockets: the ZeroMQ context for the connection.
        endpoint: such as `tcp://192.0.2.7:4711`.
        question: the question's name.
        timeout_ms: milliseconds to wait for the answer.
        arguments: the question's arguments by name, as JSON values.

    Returns:
        The answer, a JSON value.

    Raises:
        ConfigurationError: if the endpoint is none, or JSON cannot carry the arguments, or they are too long.
        RequestTimeoutError: if no answer comes in time.
        RemoteError: if the node answers with an error.
        FrameError: if the node is of another version, or something else answers.
    """
    frame = _encode_question(question, arguments or {})
    answered: asyncio.Future[list[bytes]] = asyncio.get_running_loop().create_future()

    def on_message(frames: list[bytes]) -> None:
        if not answered.done():
            answered.set_result(frames)

    socket = sockets.dealer()
    socket.set(zmq.LINGER, 0)
    socket.set(zmq.MAXMSGSIZE, MAX_ANSWER_BYTES)
    if "[" in endpoint:
        socket.set(zmq.IPV6, 1)
    reader: SocketReader | None = None
    try:
        try:
            connect(socket, endpoint)
        except zmq.ZMQError as error:
            raise ConfigurationError(f"{endpoint!r} is not an endpoint: {error}") from error
        reader = SocketReader(IOLoop.current(), socket, on_message)
        socket.send(frame, zmq.NOBLOCK)
        reader.kick()
        async with asyncio.timeout(timeout_ms / 1000):
            frames = await answered
    except TimeoutError as error:
        raise RequestTimeoutError(f"{endpoint} has not answered within {timeout_ms:g} ms") from error
    finally:
        if reader is not None:
            reader.close()
        socket.close()
    return _read_answer(endpoint, frames)


def _encode_question(question: str, arguments: dict[str, Any]) -> bytes:
    try:
        frame = encode_control(FrameKind.QUESTION, Question(0, question, arguments))
    except (TypeError, ValueError, RecursionError) as error:
        raise ConfigurationError(f"JSON cannot carry these arguments of {question!r}: {error}") from error
    if len(frame) > MAX_CONTROL_BYTES:
        text = f"the question {question!r} has {len(frame)} bytes with its arguments"
        raise ConfigurationError(f"{text}; the limit is {MAX_CONTROL_BYTES}")
    return frame


def _read_answer(endpoint: str, frames: list[bytes]) -> Any:
    try:
        kind, body = decode_control(frames[0])
        if len(frames) != 1 or kind is not FrameKind.ANSWER:
            raise FrameError("the reply is no answer of a node")  # noqa: TRY301
        answer = decode_body(body, Answer)
    except FrameError as error:
        raise FrameError(f"{endpoint}: {error}") from error
    if answer.error is not None:
        raise RemoteError(answer.error.type_name, f"{answer.error.message} (at {endpoint})")
    return answer.result

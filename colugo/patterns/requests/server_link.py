"""A request client's connection to one server."""

from collections.abc import Callable

import zmq

from colugo.errors import FrameError
from colugo.net.runtime import Runtime
from colugo.net.transport.socket_reader import MoreToRead
from colugo.net.transport.turn import Turn
from colugo.patterns.connections.peer_connection import ConnectionListener, PeerConnection
from colugo.protocol.advertisement import Advertisement, Framing
from colugo.protocol.error_report import decode_plain_error, encode_error
from colugo.protocol.frames import BATCH_BYTES, MAX_COUNT, FrameKind
from colugo.protocol.requests.calls import FLAG_ERROR, Call, decode_calls, encode_calls, split_envelope

_NOBLOCK = int(zmq.NOBLOCK)

_CORRELATION_BYTES = 8


class ServerLink(PeerConnection):
    """One server, and the requests for it.

    Args:
        runtime: the node's.
        peer: the server.
        endpoint: where it is.
        listener: the owner of the connection.
        on_replies: gets replies that arrived together; may return what is left to do.
        on_drained: called when no more replies are read for now.
        on_malformed: gets the error of each frame that is none.
    """

    def __init__(
        self,
        runtime: Runtime,
        peer: Advertisement,
        endpoint: str,
        listener: ConnectionListener["ServerLink"],
        *,
        on_replies: Callable[["ServerLink", list[Call]], MoreToRead | None],
        on_drained: Callable[[], None],
        on_malformed: Callable[["ServerLink", FrameError], None],
    ) -> None:
        self._raw = peer.framing is Framing.RAW
        self._on_replies = on_replies
        self._on_all_read = on_drained
        self._on_malformed = on_malformed
        self._gathered: dict[int, Call] = {}
        self._gathered_bytes = 0
        self._backlog: dict[int, Call] = {}
        self._turn = Turn(self._end_turn)
        super().__init__(runtime, peer, endpoint, listener)

    def send(self, call: Call) -> None:
        """Send a request: at once if it is the first of a turn of the loop, else at the turn's end."""
        self.gather(call)
        if self._gathered and self._turn.begin():
            self.flush()

    def gather(self, call: Call) -> None:
        """Send a request with the next `flush()`, if it is not more than a batch before that."""
        self._gathered[call.correlation] = call
        self._gathered_bytes += len(call.payload)
        if self._gathered_bytes >= BATCH_BYTES:
            self.flush()

    def forget(self, number: int) -> None:
        """Do not send this request any more, if it has not been."""
        self._backlog.pop(number, None)
        call = self._gathered.pop(number, None)
        if call is not None:
            self._gathered_bytes -= len(call.payload)

    def on_writable(self) -> None:
        """Send requests that the socket has refused."""
        self._send_backlog()

    def on_drained(self) -> None:
        """Pass on that no more replies are read for now."""
        self._on_all_read()

    def _discard(self) -> None:
        self._backlog.clear()
        self._gathered.clear()
        self._gathered_bytes = 0

    def _end_turn(self) -> None:
        if not self._closed:
            self.flush()
            self._connector.drain()  # sending may have consumed the signal of the descriptor

    def flush(self) -> None:
        """Send what has been gathered."""
        if not self._gathered or self._closed:
            return
        self._turn.begin()
        gathered, self._gathered = self._gathered, {}
        self._gathered_bytes = 0
        if not self._backlog and not self._raw and len(gathered) <= MAX_COUNT:
            try:
                self._send(list(gathered.values()))
            except zmq.Again:
                pass
            else:
                return
        self._backlog.update(gathered)
        self._send_backlog()

    def _send_backlog(self) -> None:
        """Send what waits, as far as the socket takes it."""
        while self._backlog:
            calls = self._next_batch()
            try:
                self._send(calls)
            except zmq.Again:
                return
            for call in calls:
                del self._backlog[call.correlation]

    def _next_batch(self) -> list[Call]:
        calls: list[Call] = []
        size = 0
        for call in self._backlog.values():
            size += len(call.payload)
            if calls and (self._raw or size > BATCH_BYTES or len(calls) == MAX_COUNT):
                break
            calls.append(call)
        return calls

    def _send(self, calls: list[Call]) -> None:
        socket = self._connector.socket
        if self._raw:
            # the number as an envelope of its own: REP echoes what stands before the empty frame
            number = calls[0].correlation.to_bytes(_CORRELATION_BYTES, "little")
            socket.send_multipart([number, b"", calls[0].payload], _NOBLOCK)
        else:
            socket.send(encode_calls(FrameKind.REQUEST, self.peer.socket_id, calls), _NOBLOCK)

    def on_message(self, frames: list[bytes]) -> MoreToRead | None:
        """Decode replies and pass them on."""
        try:
            calls = self._raw_reply(frames) if self._raw else self._replies(frames)
        except FrameError as error:
            self._on_malformed(self, error)
            return None
        return self._on_replies(self, calls)

    def _replies(self, frames: list[bytes]) -> list[Call]:
        if len(frames) != 1:
            raise FrameError(f"{len(frames)} frames")
        return decode_calls(frames[0], FrameKind.REPLY).calls

    def _raw_reply(self, frames: list[bytes]) -> list[Call]:
        envelope, body = split_envelope(frames)
        if len(envelope) != 2 or len(envelope[0]) != _CORRELATION_BYTES or not body:  # noqa: PLR2004
            raise FrameError(f"an envelope of {len(envelope)} and a body of {len(body)} frames")
        number = int.from_bytes(envelope[0], "little")
        error = decode_plain_error(body)
        if error is not None:
            return [Call(number, FLAG_ERROR, encode_error(error))]
        return [Call(number, 0, body[-1])]

"""The connection of a request client or surveyor to one server."""

from typing import Protocol

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


class ReplyListener(Protocol):
    """The sender of requests, which gets the replies."""

    def on_usable_changed(self) -> None:
        """Act when more or fewer servers can be used."""

    def on_lost(self, link: "ServerLink") -> None:
        """Fail the requests that a lost server has."""

    def on_replies(self, link: "ServerLink", calls: list[Call]) -> MoreToRead | None:
        """Take replies that arrived together, and return the rest of the work."""

    def on_drained(self) -> None:
        """Act when no more replies are read for now."""


class ServerLinkOwner(ConnectionListener["ServerLink"], Protocol):
    """The owner of links to servers."""

    def on_malformed(self, link: "ServerLink", error: FrameError) -> None:
        """Count and log a malformed frame."""


class ServerLink(PeerConnection):
    """The connection to one server, with the requests that wait to be sent to it.

    Args:
        runtime: the node's runtime.
        peer: the server.
        endpoint: the server's endpoint.
        owner: the owner of the connection.
        listener: the sender, which gets the replies.
    """

    def __init__(
        self,
        runtime: Runtime,
        peer: Advertisement,
        endpoint: str,
        owner: ServerLinkOwner,
        listener: ReplyListener,
    ) -> None:
        self._raw = peer.framing is Framing.RAW
        self._on_replies = listener.on_replies
        self._on_all_read = listener.on_drained
        self._on_malformed = owner.on_malformed
        self._gathered: dict[int, Call] = {}
        self._gathered_bytes = 0
        self._backlog: dict[int, Call] = {}
        self._turn = Turn(self._end_turn)
        super().__init__(runtime, peer, endpoint, owner)

    def send(self, call: Call) -> None:
        """Send a request: at once if it is the first in a turn of the loop, else at the turn's end."""
        self.gather(call)
        if self._gathered and self._turn.begin():
            self.flush()

    def gather(self, call: Call) -> None:
        """Send a request at the next `flush()`, or earlier if a batch is full."""
        self._gathered[call.correlation] = call
        self._gathered_bytes += len(call.payload)
        if self._gathered_bytes >= BATCH_BYTES:
            self.flush()

    def discard(self, number: int) -> None:
        """Discard a request that has not been sent yet."""
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
        """Send gathered requests."""
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
        """Send waiting requests, as far as the socket takes them."""
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
            # the number is the envelope: REP echoes the frames before the empty one
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

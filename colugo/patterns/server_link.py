"""A request client's connection to one server."""

from collections.abc import Callable

import zmq

from colugo.errors import FrameError
from colugo.net.connector import Connector
from colugo.net.reader import Rest
from colugo.net.runtime import Runtime
from colugo.net.turn import Turn
from colugo.patterns.links import Link, doubt_if_silent, park
from colugo.protocol.advertisement import Advertisement, Framing
from colugo.protocol.calls import FLAG_ERROR, Call, decode_calls, encode_calls, split_envelope
from colugo.protocol.description import LinkDescription
from colugo.protocol.error_report import decode_plain_error, encode_error
from colugo.protocol.frames import BATCH_BYTES, MAX_COUNT
from colugo.protocol.frames import Kind as FrameKind

_NOBLOCK = int(zmq.NOBLOCK)

_CORRELATION_BYTES = 8


class ServerLink:
    """One server: a DEALER that reconnects, with a new socket after each loss.

    A new socket, because what waits in the old one must not reach a server that comes back after
    the requests have failed.

    Args:
        runtime: the node's.
        peer: the server.
        endpoint: where it is.
        on_connected: called when it can take requests.
        on_lost: called with `"lost"` or `"withdrawn"` when it no longer can.
        on_ended: called when this link has closed itself.
        on_replies: gets replies that arrived together; may return what is left to do.
        on_drained: called when no more replies are read for now.
        on_malformed: gets the error of each frame that is none.
    """

    def __init__(
        self,
        runtime: Runtime,
        peer: Advertisement,
        endpoint: str,
        *,
        on_connected: Callable[["ServerLink"], None],
        on_lost: Callable[["ServerLink", str], None],
        on_ended: Callable[["ServerLink"], None],
        on_replies: Callable[["ServerLink", list[Call]], Rest | None],
        on_drained: Callable[[], None],
        on_malformed: Callable[["ServerLink", FrameError], None],
    ) -> None:
        self._runtime = runtime
        self._link = Link(peer, endpoint)
        self._raw = peer.framing is Framing.RAW
        self._on_connected = on_connected
        self._on_lost = on_lost
        self._on_ended = on_ended
        self._on_replies = on_replies
        self._on_drained = on_drained
        self._on_malformed = on_malformed
        self._gathered: dict[int, Call] = {}
        self._gathered_bytes = 0
        self._backlog: dict[int, Call] = {}
        self._turn = Turn(self._end_turn)
        self._closed = False
        self._broken = False
        self._connector = self._connect()
        doubt_if_silent(runtime, self._link)

    @property
    def peer(self) -> Advertisement:
        """The server."""
        return self._link.peer

    @property
    def endpoint(self) -> str:
        """Where it is."""
        return self._link.endpoint

    def describe(self) -> LinkDescription:
        """What the node says of it."""
        return self._link.describe()

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

    def leave(self) -> None:
        """The server is no longer advertised: take what it still sends, and end when it is lost."""
        self._link.leaving = True
        self._link.cancel_timer()
        if not self._connector.is_up(self.endpoint):
            self.end()

    def park(self, give_up: Callable[[], None]) -> None:
        """The server's host does not answer: wait for it, until `give_up` is called."""
        if self._link.connected:  # nothing has been lost on this way
            self._runtime.vouch(self.peer)
        elif not self._link.leaving:
            park(self._link, give_up)

    def stay(self, peer: Advertisement) -> bool:
        """The server is advertised again; whether it had been leaving and takes requests again.

        Args:
            peer: as it is advertised now.
        """
        self._link.peer = peer
        if self._link.parked:
            self._link.parked = False
            if not self._link.connected:
                doubt_if_silent(self._runtime, self._link)
        if not self._link.leaving:
            return False
        self._link.leaving = False
        if not self._link.connected:
            doubt_if_silent(self._runtime, self._link)
        return self._link.connected

    def renew(self) -> None:
        """Its connection is dead: connect anew, if it was up."""
        if not self._closed and self._link.connected:
            self._down(self.endpoint)

    def end(self) -> None:
        """Take what has arrived, close, and report the loss if it was connected."""
        self._link.leaving = True
        self._connector.read_to_end(self._end)

    def _end(self) -> None:
        if self._closed or not self._link.leaving:
            return
        self.close()
        self._on_ended(self)
        if self._link.connected:
            self._link.set_connected(connected=False)
            self._on_lost(self, "lost" if self._broken else "withdrawn")

    def close(self) -> None:
        """Close without a report; requests that were sent still leave."""
        if not self._closed:
            self.flush()
            self._closed = True
            self._link.cancel_timer()
            self._connector.close()

    def _connect(self) -> Connector:
        sockets = self._runtime.sockets
        return Connector(
            self._runtime.loop,
            sockets,
            sockets.dealer(),
            on_message=self._on_message,
            on_connected=self._up,
            on_lost=self._down,
            on_writable=self._send_backlog,
            on_drained=self._on_drained,
            sole_endpoint=self.endpoint,
        )

    def _up(self, endpoint: str) -> None:
        del endpoint
        # connected still: it is back before its loss has been dealt with, and gets a new socket then
        if not self._link.leaving and not self._link.connected:
            self._link.set_connected(connected=True)
            self._link.cancel_timer()
            if self._link.parked:
                self._link.parked = False
                self._runtime.vouch(self.peer)
            self._on_connected(self)

    def _down(self, endpoint: str) -> None:
        del endpoint
        if self._link.leaving:
            self.end()
        else:
            self._broken = True
            self._connector.read_to_end(self._renew)

    def _renew(self) -> None:
        """Everything that the lost server had sent has been read."""
        if self._closed or self._link.leaving:
            self._end()
            return
        self._link.set_connected(connected=False)
        self._backlog.clear()
        self._gathered.clear()
        self._gathered_bytes = 0
        self._broken = False
        self._connector.close(0)
        self._connector = self._connect()
        if self._link.advertised:
            self._runtime.routes.forget(self.peer)
            self._runtime.suspect(self.peer)
        doubt_if_silent(self._runtime, self._link, soon=True)
        self._on_lost(self, "lost")

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

    def _on_message(self, frames: list[bytes]) -> Rest | None:
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

"""The connections of a request client or surveyor to its servers."""

from collections.abc import Callable

import zmq

from colugo.errors import ClosedError, FrameError, RequestError
from colugo.net.runtime import Runtime
from colugo.net.transport.socket_reader import MoreToRead
from colugo.net.transport.turn import Turn
from colugo.patterns.base import ThrottledWarnings
from colugo.patterns.callbacks import Handler
from colugo.patterns.connections.peer_connection import PeerConnection
from colugo.patterns.connections.peer_connections import PeerConnections
from colugo.patterns.gate import Gate
from colugo.protocol.advertisement import Advertisement, Framing, SocketKind
from colugo.protocol.codecs import Codec
from colugo.protocol.error_report import decode_plain_error, encode_error
from colugo.protocol.frames import BATCH_BYTES, MAX_COUNT, FrameKind
from colugo.protocol.requests.calls import FLAG_ERROR, Call, decode_calls, encode_calls, split_envelope

_NOBLOCK = int(zmq.NOBLOCK)

_CORRELATION_BYTES = 8


class SenderBase:
    """The base of the sending sides of request clients and surveyors; on the node's thread only.

    The links pass it the replies. The label is its owner's name, for errors.
    """

    def __init__(self, runtime: Runtime, topic: str, codec: Codec, label: str) -> None:
        self._runtime = runtime
        self._topic = topic
        self._codec = codec
        self._label = label
        self._links: ServerLinks
        self._opened = self._closed = False

    def open(self, links: "ServerLinks") -> None:
        """Begin to send over these links."""
        self._links = links
        self._opened = True

    def close(self) -> None:
        """Send no more; extend it to fail what is pending."""
        self._closed = True

    def on_usable_changed(self) -> None:
        """Override to act when more or fewer servers can be used."""

    def on_lost(self, link: "ServerLink") -> None:
        """Override to fail the requests that a lost server has."""

    def on_replies(self, link: "ServerLink", calls: list[Call]) -> MoreToRead | None:
        """Override to take replies that arrived together, and return the rest of the work."""
        raise NotImplementedError

    def on_drained(self) -> None:
        """Override to act when no more replies are read for now."""

    def _closed_error(self) -> RequestError:
        """Return the error of a request that was pending when its client was closed."""
        error = RequestError(f"{self._label} was closed")
        error.__cause__ = ClosedError(f"the node {self._runtime.name!r} has been stopped")
        return error

    def _decode_error(self, link: "ServerLink", error: ValueError) -> RequestError:
        """Return the error of a request whose reply does not fit the codec."""
        failure = RequestError(f"the reply of {link.peer} does not decode: {error}")
        failure.__cause__ = error
        return failure


class ServerLink(PeerConnection):
    """The connection to one server, with the requests that wait to be sent to it."""

    def __init__(
        self, runtime: Runtime, peer: Advertisement, endpoint: str, links: "ServerLinks", sender: SenderBase
    ) -> None:
        self._raw = peer.framing is Framing.RAW
        self._on_replies = sender.on_replies
        self._on_all_read = sender.on_drained
        self._on_malformed = links.on_malformed
        self._gathered: dict[int, Call] = {}
        self._gathered_bytes = 0
        self._backlog: dict[int, Call] = {}
        self._turn = Turn(self._end_turn)
        super().__init__(runtime, peer, endpoint, links)

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
        """Send waiting requests, as far as the socket takes them."""
        while self._backlog:
            calls = self._next_batch()
            try:
                self._send(calls)
            except zmq.Again:
                return
            for call in calls:
                del self._backlog[call.correlation]

    def on_drained(self) -> None:
        """Tell the sender that no more replies are read for now."""
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
        self.on_writable()

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


class ServerLinks(PeerConnections[ServerLink]):
    """The links of one request client or surveyor, in the order in which they are used."""

    def __init__(
        self,
        runtime: Runtime,
        kind: SocketKind,
        topic: str,
        given: list[str],
        sender: SenderBase,
        *,
        gate: Gate,
        on_connect: Handler | None,
        on_disconnect: Handler | None,
        own: bool,
    ) -> None:
        super().__init__(runtime, kind, topic, given, own=own)
        self._sender = sender
        self._on_connect = on_connect
        self._on_disconnect = on_disconnect
        self._warnings = ThrottledWarnings(runtime)
        self._gate = gate
        self.malformed = 0

    def close(self) -> None:
        """Close all links, and make `ready()` fail."""
        super().close()
        self._gate.close()

    def on_connected(self, connection: ServerLink) -> None:
        """Use a link from now on."""
        super().on_connected(connection)
        if self._on_connect is not None:
            self._on_connect.run(connection.peer)

    def on_lost(self, connection: ServerLink, reason: str) -> None:
        """Stop using a link."""
        super().on_lost(connection, reason)
        self._sender.on_lost(connection)
        if self._on_disconnect is not None:
            self._on_disconnect.run(connection.peer, reason)

    def on_malformed(self, link: ServerLink, error: FrameError) -> None:
        """Count and log a malformed frame."""
        self.malformed += 1
        self._warnings.warn(link.endpoint, f"a reply of {link.peer} is malformed", error)

    def next_in_turn(self) -> ServerLink | None:
        """Return the next server in turn (round robin), or None if none is connected."""
        if not self._usable:
            return None
        link = self._usable[0]
        self._usable.rotate(-1)
        return link

    def least(self, load: Callable[[ServerLink], int]) -> ServerLink | None:
        """Return the server with the least load, the longest unused of equals; None if none is connected."""
        if not self._usable:
            return None
        link = min(self._usable, key=load)
        self._usable.remove(link)
        self._usable.append(link)
        return link

    def _make(self, peer: Advertisement, endpoint: str) -> ServerLink:
        return ServerLink(self._runtime, peer, endpoint, self, self._sender)

    def _on_usable_changed(self) -> None:
        self._gate.set(len(self._usable))
        self._sender.on_usable_changed()

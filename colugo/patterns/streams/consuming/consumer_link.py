"""A consumer's connection to one stream."""

from collections.abc import Callable, Iterable
from typing import Any

import msgspec
import zmq

from colugo.errors import FrameError
from colugo.net.runtime import Runtime
from colugo.net.transport.turn import Turn
from colugo.patterns.connections.peer_connection import ConnectionListener, PeerConnection
from colugo.protocol.advertisement import Advertisement
from colugo.protocol.description.socket_descriptions import LinkDescription
from colugo.protocol.frames import MAGIC, VERSION, FrameKind
from colugo.protocol.membership.control import decode_body, decode_control, encode_control
from colugo.protocol.membership.entries import Refusal
from colugo.protocol.streams.deliveries import Deliveries, decode_deliveries
from colugo.protocol.streams.joining import Join, Joined
from colugo.protocol.streams.ranges import to_ranges
from colugo.protocol.streams.settlements import (
    MAX_PART_RANGES,
    Settlement,
    SettlementOutcome,
    encode_settle,
    in_parts,
)

_NOBLOCK = int(zmq.NOBLOCK)
_DELIVER = bytes([MAGIC, 0, VERSION, FrameKind.DELIVER])
_PING = bytes([MAGIC, 0, VERSION, FrameKind.PING])
_LEAVE = bytes([MAGIC, 0, VERSION, FrameKind.LEAVE])


class ConsumerLink(PeerConnection):
    """One stream: joins its group there, takes messages, and says what has become of them.

    Args:
        runtime: the node's.
        peer: the stream.
        endpoint: where it is.
        listener: the owner of the connection.
        join: what it says of itself, at the time when it joins.
        on_joined: called when the stream has let it in.
        on_refused: called with the reason when it has not.
        on_deliveries: gets the messages.
        on_malformed: gets the error of each frame that is none.
    """

    def __init__(
        self,
        runtime: Runtime,
        peer: Advertisement,
        endpoint: str,
        listener: ConnectionListener["ConsumerLink"],
        *,
        join: Callable[[], Join],
        on_joined: Callable[["ConsumerLink", Joined], None],
        on_refused: Callable[["ConsumerLink", str], None],
        on_deliveries: Callable[["ConsumerLink", Deliveries], None],
        on_malformed: Callable[["ConsumerLink", FrameError], None],
    ) -> None:
        self._join = join
        self._asked = False
        self._answers_due = 0
        self._on_joined = on_joined
        self._on_refused = on_refused
        self._on_deliveries = on_deliveries
        self._on_malformed = on_malformed
        self._turn = Turn(self._end_turn)
        self._acknowledged: list[int] = []
        self._others: list[Settlement] = []
        self.stream_id = b""
        """Of the stream, when it has let this consumer in."""
        self._received = 0
        super().__init__(runtime, peer, endpoint, listener)

    def describe(self) -> LinkDescription:
        """What the node says of it."""
        description = super().describe()
        description.received = self._received
        return description

    @property
    def joining(self) -> bool:
        """Whether it has asked to be let in, or for other bindings, and has no answer yet.

        What comes meanwhile is to be thrown away: the stream takes it back when it answers.
        """
        return self._answers_due > 0

    def join(self, begun: Iterable[int] = ()) -> None:
        """Ask to be let in, or, once more, for other bindings.

        Args:
            begun: numbers of messages that are being handled; with others from here, nobody is to begin.
        """
        self.flush()
        self._asked = True
        self._answers_due += 1
        join = self._join()
        self._send(encode_control(FrameKind.JOIN, msgspec.structs.replace(join, begun=sorted(begun))))

    def depart(self, begun: Iterable[int] = ()) -> None:
        """Say that nothing more is to come: whatever else was sent here comes to others.

        Args:
            begun: numbers of messages that have been begun with, and of which nothing more will be said.
        """
        if self._asked:
            self._others += [Settlement(seq, SettlementOutcome.ABANDONED) for seq in begun]
            self.flush()
            self._asked = False
            self.stream_id = b""
            self._send(_LEAVE)

    def acknowledge(self, seq: int) -> None:
        """A message has been handled; said when this turn of the loop is over."""
        self._acknowledged.append(seq)
        self._turn.begin()

    def acknowledge_all(self, seqs: list[int]) -> None:
        """Messages have been handled; said at once."""
        self._acknowledged += seqs
        self.flush()

    def tell(self, settlement: Settlement) -> None:
        """Something else has become of a message; said when this turn of the loop is over."""
        self._others.append(settlement)
        self._turn.begin()

    def flush(self) -> None:
        """Say what has become of messages."""
        if not self.stream_id:
            self._acknowledged.clear()
            self._others.clear()
            return
        if not (self._acknowledged or self._others):
            return
        ranges, others = to_ranges(self._acknowledged), self._others
        self._acknowledged, self._others = [], []
        for begin in range(0, len(ranges), MAX_PART_RANGES):
            self._send(encode_settle(self.stream_id, ranges[begin : begin + MAX_PART_RANGES], []))
        for part in in_parts(others):
            self._send(encode_settle(self.stream_id, [], part))

    def close(self) -> None:
        """Leave and close; what was said still leaves."""
        if not self._closed:
            self.depart()
        super().close()

    def _end_turn(self) -> None:
        if not self._closed:
            self.flush()

    def _discard(self) -> None:
        """It is lost: what was not acknowledged comes again."""
        self._asked = False
        self._answers_due = 0
        self._acknowledged.clear()
        self._others.clear()

    def _make_socket(self) -> "zmq.Socket[bytes]":
        socket = super()._make_socket()
        socket.set(zmq.SNDHWM, 0)  # what there is to say is bounded by prefetch
        socket.set(zmq.RCVHWM, 0)
        return socket

    def _send(self, frame: bytes) -> None:
        self._connector.socket.send(frame, _NOBLOCK)
        self._connector.kick()

    def on_message(self, frames: list[Any]) -> None:
        """Take messages of the stream and its answers."""
        try:
            if len(frames) != 1:
                raise FrameError(f"a message of {len(frames)} frames")  # noqa: TRY301 - one place counts them
            frame = frames[0]
            if frame.startswith(_DELIVER):
                deliveries = decode_deliveries(frame)
                self._received += len(deliveries.seqs)
                if deliveries.stream_id == self.stream_id:
                    self._on_deliveries(self, deliveries)
            else:
                self._control(frame)
        except FrameError as error:
            self._on_malformed(self, error)

    def _control(self, frame: bytes) -> None:
        kind, body = decode_control(frame)
        if kind is FrameKind.PING:
            self._send(_PING)
        elif kind is FrameKind.JOINED:
            joined = decode_body(body, Joined)
            self._answers_due = max(0, self._answers_due - 1)
            self.stream_id = bytes.fromhex(joined.stream)
            self._on_joined(self, joined)
        elif kind is FrameKind.REFUSAL:
            self._refused(decode_body(body, Refusal))
        else:
            raise FrameError(f"a frame of the kind {kind.name} has no place here")

    def _refused(self, refusal: Refusal) -> None:
        self.stream_id = b""
        if not refusal.again:
            self._answers_due = max(0, self._answers_due - 1)
            self._on_refused(self, refusal.reason)
        elif self._asked and not self._answers_due:  # else it has left, or is about to join
            self.join()

"""A consumer's connection to one stream."""

from collections.abc import Iterable
from typing import Any, Protocol

import msgspec
import zmq

from colugo.errors import FrameError
from colugo.net.runtime import Runtime
from colugo.net.transport.turn import Turn
from colugo.patterns.connections.peer_connection import ConnectionListener, PeerConnection
from colugo.protocol.advertisement import Advertisement
from colugo.protocol.description.socket_descriptions import LinkDescription
from colugo.protocol.frames import FrameKind
from colugo.protocol.membership.control import decode_body, decode_control, encode_bare, encode_control
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
_DELIVER = encode_bare(FrameKind.DELIVER)
_PING = encode_bare(FrameKind.PING)
_LEAVE = encode_bare(FrameKind.LEAVE)


class SessionListener(ConnectionListener["ConsumerLink"], Protocol):
    """The owner of a consumer's links, and of its sessions at the streams."""

    @property
    def join_request(self) -> Join:
        """The request by which the consumer joins its group at a stream."""

    def on_joined(self, link: "ConsumerLink", joined: Joined) -> None:
        """Begin a session: the stream has admitted the consumer."""

    def on_refused(self, link: "ConsumerLink", reason: str) -> None:
        """Report that the stream has not admitted the consumer."""

    def on_deliveries(self, link: "ConsumerLink", deliveries: Deliveries) -> None:
        """Handle a batch of messages."""

    def on_malformed(self, link: "ConsumerLink", error: FrameError) -> None:
        """Count and report a malformed frame."""


class ConsumerLink(PeerConnection):
    """A connection to one stream: joins the group there, takes messages and sends settlements."""

    def __init__(
        self, runtime: Runtime, peer: Advertisement, endpoint: str, sessions: SessionListener
    ) -> None:
        self._sessions = sessions
        self._on_deliveries = sessions.on_deliveries
        self._member = False
        self._pending_joins = 0
        self._turn = Turn(self._end_turn)
        self._acknowledged: list[int] = []
        self._others: list[Settlement] = []
        self.stream_id = b""
        """The stream's id, while it has admitted this consumer."""
        self._received = 0
        super().__init__(runtime, peer, endpoint, sessions)

    def describe(self) -> LinkDescription:
        """Return the description for introspection."""
        description = super().describe()
        description.received = self._received
        return description

    @property
    def joining(self) -> bool:
        """True while the answer to a join is pending; the stream takes back what arrives meanwhile."""
        return self._pending_joins > 0

    def join(self, started: Iterable[int] = ()) -> None:
        """Join the group, or join again with another request; start no messages but those `started`."""
        self.flush()
        self._member = True
        self._pending_joins += 1
        request = msgspec.structs.replace(self._sessions.join_request, begun=sorted(started))
        self._send(encode_control(FrameKind.JOIN, request))

    def leave_group(self, started: Iterable[int] = ()) -> None:
        """Leave the group, and abandon started messages; the stream redelivers all that are unsettled."""
        if self._member:
            self._others += [Settlement(seq, SettlementOutcome.ABANDONED) for seq in started]
            self.flush()
            self._member = False
            self.stream_id = b""
            self._send(_LEAVE)

    def acknowledge(self, seq: int) -> None:
        """Acknowledge a message when this turn of the loop ends."""
        self._acknowledged.append(seq)
        self._turn.begin()

    def acknowledge_all(self, seqs: list[int]) -> None:
        """Acknowledge messages at once."""
        self._acknowledged += seqs
        self.flush()

    def settle(self, settlement: Settlement) -> None:
        """Send another settlement when this turn of the loop ends."""
        self._others.append(settlement)
        self._turn.begin()

    def flush(self) -> None:
        """Send the pending acknowledgements and settlements."""
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
        """Leave the group and close; settlements still leave."""
        if not self._closed:
            self.leave_group()
        super().close()

    def _end_turn(self) -> None:
        if not self._closed:
            self.flush()

    def _discard(self) -> None:
        """Drop settlements: the stream redelivers the messages."""
        self._member = False
        self._pending_joins = 0
        self._acknowledged.clear()
        self._others.clear()

    def _make_socket(self) -> "zmq.Socket[bytes]":
        socket = super()._make_socket()
        socket.set(zmq.SNDHWM, 0)  # prefetch bounds the settlements
        socket.set(zmq.RCVHWM, 0)
        return socket

    def _send(self, frame: bytes) -> None:
        self._connector.socket.send(frame, _NOBLOCK)
        self._connector.kick()

    def on_message(self, frames: list[Any]) -> None:
        """Handle messages of the stream and its answers."""
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
                self._on_control(frame)
        except FrameError as error:
            self._sessions.on_malformed(self, error)

    def _on_control(self, frame: bytes) -> None:
        kind, body = decode_control(frame)
        if kind is FrameKind.PING:
            self._send(_PING)
        elif kind is FrameKind.JOINED:
            joined = decode_body(body, Joined)
            self._pending_joins = max(0, self._pending_joins - 1)
            self.stream_id = bytes.fromhex(joined.stream)
            self._sessions.on_joined(self, joined)
        elif kind is FrameKind.REFUSAL:
            self._on_refusal(decode_body(body, Refusal))
        else:
            raise FrameError(f"a consumer does not accept {kind.name} frames")

    def _on_refusal(self, refusal: Refusal) -> None:
        self.stream_id = b""
        if not refusal.again:
            self._pending_joins = max(0, self._pending_joins - 1)
            self._sessions.on_refused(self, refusal.reason)
        elif self._member and not self._pending_joins:  # otherwise it has left, or its join is pending
            self.join()

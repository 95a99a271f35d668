"""The consumers at a stream's ROUTER socket: they join, settle their deliveries, and leave or are lost."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass

import msgspec
import zmq

from colugo.errors import ColugoError, FrameError
from colugo.net.runtime import Runtime
from colugo.net.transport.socket_reader import SocketReader
from colugo.patterns.base import ThrottledWarnings
from colugo.patterns.gate import Gate
from colugo.patterns.streams.delivery_scheduler import DeliveryScheduler
from colugo.patterns.streams.group import StreamGroup
from colugo.protocol.error_report import report_error
from colugo.protocol.frames import MAGIC, VERSION, FrameKind
from colugo.protocol.membership.control import decode_body, decode_control, encode_control
from colugo.protocol.membership.entries import Refusal
from colugo.protocol.streams.attempts import GroupMember, QueuedMessage
from colugo.protocol.streams.deliveries import encode_deliveries
from colugo.protocol.streams.joining import Join, Joined
from colugo.protocol.streams.settlements import decode_settle
from colugo.store import size_of, size_of_all

_NOBLOCK = int(zmq.NOBLOCK)
_NOBLOCK_MORE = int(zmq.NOBLOCK | zmq.SNDMORE)
_PROBE_S = (0.0, 0.02, 0.2)
"""Delays of the probes after a disconnection: ZeroMQ forgets the identity of a connection a little later."""
_FRAME_BYTES = 60 * 1024
"""The size of a frame of several messages; consumers accept 64 KiB whatever their `max_message_bytes`."""
_MESSAGE_BYTES = 32
"""The overhead of a message in a frame."""
_SETTLE = bytes([MAGIC, 0, VERSION, FrameKind.SETTLE])
_PING = bytes([MAGIC, 0, VERSION, FrameKind.PING])
_JOIN = bytes([MAGIC, 0, VERSION, FrameKind.JOIN])


@dataclass(eq=False, frozen=True, slots=True)
class Session:
    """A consumer that has joined by one of its connections."""

    join: Join
    group: StreamGroup


class Sessions:
    """The sessions of a stream; also the transport of its `DeliveryScheduler`.

    The owner of the socket, a ROUTER, closes it. The gate receives the number of sessions; `malformed` counts
    frames that could not be decoded or had no place.
    """

    def __init__(
        self,
        runtime: Runtime,
        topic: str,
        socket: zmq.Socket[bytes],
        scheduler: DeliveryScheduler,
        *,
        gate: Gate,
        run_id: bytes,
    ) -> None:
        self._runtime = runtime
        self._topic = topic
        self._socket = socket
        self._scheduler = scheduler
        self._gate = gate
        self._run_id = run_id
        self._sessions: dict[bytes, Session] = {}
        """The sessions, by the identity of the connection."""
        self._former: dict[bytes, Session] = {}
        """Sessions of older connections, whose consumers have joined again by newer ones."""
        self._warnings = ThrottledWarnings(runtime)
        self._reader: SocketReader | None = None
        self._monitor: zmq.Socket[bytes] | None = None
        self._monitor_reader: SocketReader | None = None
        self._probes: list[asyncio.TimerHandle] = []
        self._admitted = 0
        self.malformed = 0

    def __len__(self) -> int:
        return len(self._sessions)

    def open(self) -> None:
        """Begin to read, on the loop."""
        self._monitor = self._runtime.sockets.monitor(self._socket, zmq.EVENT_DISCONNECTED)
        self._monitor_reader = SocketReader(self._runtime.loop, self._monitor, self._on_disconnected)
        self._reader = SocketReader(self._runtime.loop, self._socket, self._on_message)

    def close(self) -> None:
        """Stop reading."""
        for probe in self._probes:
            probe.cancel()
        for reader in (self._reader, self._monitor_reader):
            if reader is not None:
                reader.close()
        if self._monitor is not None:
            self._socket.disable_monitor()
            self._monitor.close()

    def deliver(self, member: GroupMember, entries: list[QueuedMessage]) -> None:
        """Send messages to a member; if its connection has ended, the group takes them back."""
        stream_id = self._scheduler.stream_id
        for part in _parts(entries):
            messages = [entry.message for entry in part]
            if part[0].redelivered:
                attempts = [entry.attempt for entry in part]
                frame = encode_deliveries(stream_id, messages, attempts, [True] * len(part))
            else:
                frame = encode_deliveries(stream_id, messages)
            if not self._send(member.identity, frame):
                self._on_lost(member.identity)
                return

    def ping(self, member: GroupMember) -> None:
        """Ask for a sign of life of a member whose messages are redelivered to others."""
        session = self._sessions.get(member.identity)
        if session is not None:
            join, limit_s = session.join, self._scheduler.rules.ack_timeout_s
            self._warnings.warn(
                ("late", join.consumer),
                f"the consumer of {self._topic} at node {join.node}, group {join.group!r}, is late",
                ColugoError(f"silent for ack_timeout_ms, {limit_s * 1000:g}; its messages are redelivered"),
            )
        if not self._send(member.identity, _PING):
            self._on_lost(member.identity)

    def _send(self, identity: bytes, frame: bytes) -> bool:
        """Send to a connection; return False if it has ended. Prefetch bounds the frames in its queue."""
        try:
            self._socket.send(identity, _NOBLOCK_MORE)
            self._socket.send(frame, _NOBLOCK)
        except zmq.ZMQError as error:
            if error.errno not in (zmq.EHOSTUNREACH, zmq.EAGAIN):
                raise
            return False
        finally:
            if self._reader is not None:
                self._reader.kick()  # a send that fails consumes the signal of the descriptor, too
        return True

    def _refuse(self, identity: bytes, reason: str, *, again: bool) -> bool:
        return self._send(identity, encode_control(FrameKind.REFUSAL, Refusal(reason, again=again)))

    def _on_message(self, frames: list[bytes]) -> None:
        identity, *body = frames
        session = self._sessions.get(identity)
        try:
            if len(body) != 1:
                raise FrameError(f"a message of {len(body)} frames")  # noqa: TRY301 - one place counts them
            frame = body[0]
            if session is not None:
                self._scheduler.mark_alive(session.group, identity)
                if frame.startswith(_SETTLE):
                    scheduler, node = self._scheduler, session.join.node
                    scheduler.settle(session.group, identity, decode_settle(frame), node)
                    return
            elif identity in self._former and not frame.startswith(_JOIN):
                self._on_former(identity, frame)
                return
            self._on_control(identity, session, frame)
        except FrameError as error:
            self.malformed += 1
            self._warnings.warn("malformed", f"a message to the stream {self._topic} is malformed", error)

    def _on_former(self, identity: bytes, frame: bytes) -> None:
        """Take acknowledgements that come by an older connection of a consumer.

        The consumer's other deliveries there have been taken back. It is not asked to join there again, which
        would take the session from its newest connection.
        """
        group = self._former[identity].group
        if frame.startswith(_SETTLE):
            settle, scheduler = decode_settle(frame), self._scheduler
            known = settle.stream_id == scheduler.stream_id and scheduler.groups.retention.has(group)
            if known and settle.ranges:
                scheduler.acknowledge(group, settle.ranges)
            return
        kind, _ = decode_control(frame)
        if kind is FrameKind.LEAVE:
            del self._former[identity]
        elif kind is not FrameKind.PING:
            raise _misplaced(kind)

    def _on_control(self, identity: bytes, session: Session | None, frame: bytes) -> None:
        kind, body = decode_control(frame)
        if kind is FrameKind.JOIN:
            self._on_join(identity, session, body)
        elif session is None:  # it joined an earlier run of this stream, or mistakes it for another
            self._refuse(identity, "join first", again=True)
            if kind not in (FrameKind.SETTLE, FrameKind.LEAVE, FrameKind.PING):
                raise _misplaced(kind)
        elif kind is FrameKind.LEAVE:  # it has settled all messages that it began
            group = session.group
            self._scheduler.requeue(group, identity, group.queue.in_flight_of(identity))
            self._leave(identity, "the consumer left", lost=False)
            self._resume_former(session.join.consumer)
        elif kind is not FrameKind.PING:
            raise _misplaced(kind)

    def _on_join(self, identity: bytes, session: Session | None, body: bytes) -> None:
        try:
            join = decode_body(body, Join)
        except FrameError as error:
            self._refuse(identity, report_error(error).message[:200], again=False)
            self._leave(identity, "the consumer was refused", lost=True)
            raise
        groups = self._scheduler.groups
        if session is not None:
            if _continues(session.join, join) and groups.retention.has(session.group):
                self._rejoin(identity, session.group, join)
                return
            self._leave(identity, "the consumer joined again", lost=True)
        self._former.pop(identity, None)
        for other, before in list(self._sessions.items()):
            if before.join.consumer == join.consumer:
                self._leave(other, "the consumer joined by another connection", lost=True)
                if self._send(other, _PING):
                    self._former[other] = before
        if not self._send_joined(identity):
            self._resume_former(join.consumer)
            return
        durable = join.durable and join.named
        group = groups.join(join.group, identity, join.prefetch, join.bindings, durable=durable)
        self._sessions[identity] = Session(join, group)
        self._gate.set(len(self._sessions))

    def _rejoin(self, identity: bytes, group: StreamGroup, join: Join) -> None:
        if self._send_joined(identity):  # before any delivery by the new bindings
            self._scheduler.groups.rejoin(group, identity, join.prefetch, join.bindings, join.begun)
            self._sessions[identity] = Session(join, group)
        else:
            self._on_lost(identity)

    def _send_joined(self, identity: bytes) -> bool:
        self._admitted += 1
        joined = Joined(
            self._scheduler.stream_id.hex(),
            round(self._scheduler.rules.ack_timeout_s * 1000),
            self._topic,
            self._run_id.hex(),
            self._scheduler.writer.began_at,
            self._admitted,
            "key" if self._scheduler.rules.ordered else "none",
        )
        return self._send(identity, encode_control(FrameKind.JOINED, joined))

    def _on_disconnected(self, frames: list[bytes]) -> None:
        """Probe all connections: the monitor's event does not name the one that has ended."""
        del frames
        loop = asyncio.get_running_loop()
        for probe in self._probes:
            probe.cancel()
        self._probes = [loop.call_later(delay_s, self._probe) for delay_s in _PROBE_S]

    def _probe(self) -> None:
        for identity in [*self._sessions, *self._former]:
            if identity in self._sessions and not self._send(identity, _PING):
                self._on_lost(identity)
            elif identity in self._former and not self._send(identity, _PING):
                del self._former[identity]

    def _on_lost(self, identity: bytes) -> None:
        session = self._sessions.get(identity)
        self._leave(identity, "the consumer was lost", lost=True)
        if session is not None:
            self._resume_former(session.join.consumer)

    def _resume_former(self, consumer: str) -> None:
        """Ask a consumer that has lost its newest connection to join by an older one.

        It may not know of the loss, if it has never read the answer by the newest one.
        """
        for identity, former in list(self._former.items()):
            if former.join.consumer == consumer:
                del self._former[identity]
                if self._refuse(identity, "join first", again=True):
                    return

    def _leave(self, identity: bytes, reason: str, *, lost: bool) -> None:
        session = self._sessions.pop(identity, None)
        if session is not None:
            text = f"{reason} (node {session.join.node})"
            self._scheduler.groups.leave(session.group, identity, text, lost=lost)
            self._gate.set(len(self._sessions))


def _misplaced(kind: FrameKind) -> FrameError:
    return FrameError(f"a frame of the kind {kind.name} has no place here")


def _continues(before: Join, join: Join) -> bool:
    """Return True if two joins differ only in what a member may change."""
    changes = {"bindings": before.bindings, "prefetch": before.prefetch, "begun": before.begun}
    return msgspec.structs.replace(join, **changes) == before


def _parts(entries: list[QueuedMessage]) -> Iterator[list[QueuedMessage]]:
    """Split messages into frames: several that are small together, or one of any size."""
    messages = [entry.message for entry in entries]
    if _MESSAGE_BYTES * len(messages) + size_of_all(messages) <= _FRAME_BYTES:
        yield entries
        return
    part: list[QueuedMessage] = []
    total = 0
    for entry in entries:
        size = _MESSAGE_BYTES + size_of(entry.message)
        total += size
        if part and total > _FRAME_BYTES:
            yield part
            part, total = [], size
        part.append(entry)
    yield part

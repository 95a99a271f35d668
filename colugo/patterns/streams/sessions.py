"""The consumers at a stream's ROUTER: who they are, what they say, and when they are gone."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import msgspec
import zmq

from colugo.errors import ColugoError, FrameError
from colugo.net.runtime import Runtime
from colugo.net.transport.socket_reader import SocketReader
from colugo.patterns.base import ThrottledWarnings
from colugo.patterns.streams.delivery_scheduler import DeliveryScheduler
from colugo.patterns.streams.group import StreamGroup
from colugo.protocol.error_report import report_error
from colugo.protocol.frames import MAGIC, VERSION, FrameKind
from colugo.protocol.membership.control import decode_body, decode_control, encode_control
from colugo.protocol.membership.entries import Refusal
from colugo.protocol.streams.attempts import GroupMember, QueuedMessage
from colugo.protocol.streams.deliveries import encode_deliveries
from colugo.protocol.streams.joining import Join, Joined
from colugo.protocol.streams.settlements import Settle, SettlementOutcome, decode_settle
from colugo.store import size_of, size_of_all

_NOBLOCK = int(zmq.NOBLOCK)
_NOBLOCK_MORE = int(zmq.NOBLOCK | zmq.SNDMORE)
_PROBE_S = (0.0, 0.02, 0.2)
"""When to look who has gone, after a connection has ended: ZeroMQ forgets its identity a little later."""
_FRAME_BYTES = 60 * 1024
"""Of several messages together: whatever `max_message_bytes` a consumer has, it takes 64 KiB more."""
_MESSAGE_BYTES = 32
"""What a message takes in a frame, besides its parts."""
_SETTLE = bytes([MAGIC, 0, VERSION, FrameKind.SETTLE])
_PING = bytes([MAGIC, 0, VERSION, FrameKind.PING])
_JOIN = bytes([MAGIC, 0, VERSION, FrameKind.JOIN])


@dataclass(eq=False, frozen=True, slots=True)
class Session:
    """A consumer that has joined.

    Attributes:
        join: what it has said of itself.
        group: its group.
    """

    join: Join
    group: StreamGroup


class Sessions:
    """Reads what consumers send, and sends them messages.

    Args:
        runtime: the node's.
        topic: of the stream.
        socket: the stream's ROUTER; its owner closes it.
        run_id: 8 bytes, new each time the stream is started.
        on_change: called when the number of consumers has changed.
    """

    def __init__(
        self,
        runtime: Runtime,
        topic: str,
        socket: zmq.Socket[bytes],
        *,
        run_id: bytes,
        on_change: Callable[[], None],
    ) -> None:
        self._runtime = runtime
        self._topic = topic
        self._socket = socket
        self._run_id = run_id
        self._on_change = on_change
        self._scheduler: DeliveryScheduler | None = None
        self._sessions: dict[bytes, Session] = {}
        self._former: dict[bytes, Session] = {}
        """Consumers at connections that they have left for newer ones of theirs."""
        self._complaints = ThrottledWarnings(runtime)
        self._reader: SocketReader | None = None
        self._monitor: zmq.Socket[bytes] | None = None
        self._monitor_reader: SocketReader | None = None
        self._probes: list[asyncio.TimerHandle] = []
        self._admitted = 0
        self.malformed = 0
        """Frames that were not understood."""

    def __len__(self) -> int:
        return len(self._sessions)

    def open(self, scheduler: DeliveryScheduler) -> None:
        """Begin, on the loop.

        Args:
            scheduler: what has the messages.
        """
        self._scheduler = scheduler
        self._monitor = self._runtime.sockets.monitor(self._socket, zmq.EVENT_DISCONNECTED)
        self._monitor_reader = SocketReader(self._runtime.loop, self._monitor, self._on_disconnected)
        self._reader = SocketReader(self._runtime.loop, self._socket, self._on_message)

    def close(self) -> None:
        """Read no more."""
        for probe in self._probes:
            probe.cancel()
        if self._reader is not None:
            self._reader.close()
        if self._monitor_reader is not None:
            self._monitor_reader.close()
        if self._monitor is not None:
            self._socket.disable_monitor()
            self._monitor.close()

    def hand_out(self, group: StreamGroup, member: GroupMember, entries: list[QueuedMessage]) -> None:
        """Send messages to a member of a group; if it has gone, they are taken back."""
        del group
        for part in _parts(entries):
            messages = [entry.message for entry in part]
            if part[0].redelivered:
                attempts = [entry.attempt for entry in part]
                frame = encode_deliveries(self._stream_id, messages, attempts, [True] * len(part))
            else:
                frame = encode_deliveries(self._stream_id, messages)
            if not self._send(member.identity, frame):
                self._gone(member.identity)
                return

    def nudge(self, member: GroupMember) -> None:
        """Ask a member to say something; what it had in hand for too long is redelivered."""
        session = self._sessions.get(member.identity)
        if session is not None and self._scheduler is not None:
            join, limit_s = session.join, self._scheduler.rules.ack_timeout_s
            self._complaints.warn(
                ("late", join.consumer),
                f"the consumer of {self._topic} at node {join.node}, group {join.group!r}, is late",
                ColugoError(
                    f"nothing said within ack_timeout_ms, {limit_s * 1000:g}: others get what it has"
                ),
            )
        if not self._send(member.identity, _PING):
            self._gone(member.identity)

    @property
    def _stream_id(self) -> bytes:
        assert self._scheduler is not None
        return self._scheduler.stream_id

    def _send(self, identity: bytes, frame: bytes) -> bool:
        """Send to a connection; False if it has ended. Prefetch bounds what waits in its queue."""
        try:
            self._socket.send(identity, _NOBLOCK_MORE)
            self._socket.send(frame, _NOBLOCK)
        except zmq.ZMQError as error:
            if error.errno not in (zmq.EHOSTUNREACH, zmq.EAGAIN):
                raise
            return False
        finally:
            if self._reader is not None:
                self._reader.kick()  # one that fails has consumed the signal of the descriptor, too
        return True

    def _on_message(self, frames: list[bytes]) -> None:
        scheduler = self._scheduler
        assert scheduler is not None
        identity, *body = frames
        session = self._sessions.get(identity)
        try:
            if len(body) != 1:
                raise FrameError(f"a message of {len(body)} frames")  # noqa: TRY301 - one place counts them
            frame = body[0]
            if session is not None:
                scheduler.hear(session.group, identity)
                if frame.startswith(_SETTLE):
                    self._settle(scheduler, session, identity, decode_settle(frame))
                    return
            elif identity in self._former and not frame.startswith(_JOIN):
                self._hear_former(scheduler, identity, frame)
                return
            self._control(scheduler, identity, session, frame)
        except FrameError as error:
            self.malformed += 1
            text = f"a message to the stream {self._topic} is malformed"
            self._complaints.warn("malformed", text, error)

    def _hear_former(self, scheduler: DeliveryScheduler, identity: bytes, frame: bytes) -> None:
        """What a consumer says by a connection that is not its newest: what it has handled counts.

        Everything else it had there has been taken back. It is not to join here again as long as the newer
        one is there, which it would take that from.
        """
        group = self._former[identity].group
        if frame.startswith(_SETTLE):
            settle = decode_settle(frame)
            if settle.ranges and settle.stream_id == scheduler.stream_id and scheduler.groups.has(group):
                scheduler.acknowledge(group, settle.ranges)
            return
        kind, _ = decode_control(frame)
        if kind is FrameKind.LEAVE:
            del self._former[identity]
        elif kind is not FrameKind.PING:
            raise FrameError(f"a frame of the kind {kind.name} has no place here")

    def _control(
        self, scheduler: DeliveryScheduler, identity: bytes, session: Session | None, frame: bytes
    ) -> None:
        kind, body = decode_control(frame)
        if kind is FrameKind.JOIN:
            self._join(scheduler, identity, session, body)
        elif session is None:
            # it joined before this stream was there, or takes another one for it
            self._send(identity, encode_control(FrameKind.REFUSAL, Refusal("join first", again=True)))
            if kind not in (FrameKind.SETTLE, FrameKind.LEAVE, FrameKind.PING):
                raise FrameError(f"a frame of the kind {kind.name} has no place here")
        elif kind is FrameKind.LEAVE:
            # of what it has begun it has said what became of it
            scheduler.give_back(session.group, identity, session.group.queue.in_flight_of(identity))
            self._leave(identity, "it left", lost=False)
            self._call_back(session.join.consumer)
        elif kind is not FrameKind.PING:
            raise FrameError(f"a frame of the kind {kind.name} has no place here")

    def _join(
        self, scheduler: DeliveryScheduler, identity: bytes, session: Session | None, body: bytes
    ) -> None:
        try:
            join = decode_body(body, Join)
        except FrameError as error:
            reason = report_error(error).message
            self._send(identity, encode_control(FrameKind.REFUSAL, Refusal(reason[:200])))
            self._leave(identity, "it was refused", lost=True)
            raise
        if session is not None:
            if _rebinds(session.join, join) and scheduler.groups.has(session.group):
                self._rebind(scheduler, identity, session.group, join)
                return
            self._leave(identity, "it joined again", lost=True)
        self._former.pop(identity, None)
        for other, before in list(self._sessions.items()):
            if before.join.consumer == join.consumer:  # that has not been missed yet, or is there still
                self._leave(other, "it has another connection", lost=True)
                if self._send(other, _PING):
                    self._former[other] = before
        if not self._say_joined(scheduler, identity):
            self._call_back(join.consumer)
            return
        durable = join.durable and join.named
        group = scheduler.groups.join(join.group, identity, join.prefetch, join.bindings, durable=durable)
        self._sessions[identity] = Session(join, group)
        self._on_change()

    def _rebind(self, scheduler: DeliveryScheduler, identity: bytes, group: StreamGroup, join: Join) -> None:
        if self._say_joined(scheduler, identity):  # before anything that it gets by the new bindings
            scheduler.groups.rebind(group, identity, join.bindings, join.begun)
            self._sessions[identity] = Session(join, group)
        else:
            self._gone(identity)

    def _say_joined(self, scheduler: DeliveryScheduler, identity: bytes) -> bool:
        self._admitted += 1
        joined = Joined(
            scheduler.stream_id.hex(),
            round(scheduler.rules.ack_timeout_s * 1000),
            self._topic,
            self._run_id.hex(),
            scheduler.journal.began_at,
            self._admitted,
        )
        return self._send(identity, encode_control(FrameKind.JOINED, joined))

    def _settle(
        self, scheduler: DeliveryScheduler, session: Session, identity: bytes, settle: Settle
    ) -> None:
        if settle.stream_id != scheduler.stream_id:
            scheduler.unknown += len(settle.ranges) + len(settle.others)
            return
        group = session.group
        if settle.ranges:
            scheduler.acknowledge(group, settle.ranges)
        if settle.others:
            self._settle_others(scheduler, session, identity, settle)

    def _settle_others(
        self, scheduler: DeliveryScheduler, session: Session, identity: bytes, settle: Settle
    ) -> None:
        group = session.group
        working, returned, abandoned = [], [], []
        for other in settle.others:
            if other.outcome is SettlementOutcome.WORKING:
                working.append(other.seq)
            elif other.outcome is SettlementOutcome.RETURN:
                returned.append(other.seq)
            elif other.outcome is SettlementOutcome.ABANDONED:
                abandoned.append(other.seq)
            else:
                scheduler.nack(group, identity, other)
        if working:
            scheduler.working(group, identity, working)
        if returned:
            scheduler.give_back(group, identity, returned)
        if abandoned:
            reason = f"the consumer left before it had ended (node {session.join.node})"
            scheduler.abandon(group, identity, abandoned, reason)

    def _on_disconnected(self, frames: list[bytes]) -> None:
        """Some connection has ended; the event does not say whose it was, but sending to it fails."""
        del frames
        loop = asyncio.get_running_loop()
        for probe in self._probes:
            probe.cancel()
        self._probes = [loop.call_later(delay_s, self._probe) for delay_s in _PROBE_S]

    def _probe(self) -> None:
        for identity in [*self._sessions, *self._former]:
            if identity in self._sessions and not self._send(identity, _PING):
                self._gone(identity)
            elif identity in self._former and not self._send(identity, _PING):
                del self._former[identity]

    def _gone(self, identity: bytes) -> None:
        session = self._sessions.get(identity)
        self._leave(identity, "the consumer was lost", lost=True)
        if session is not None:
            self._call_back(session.join.consumer)

    def _call_back(self, consumer: str) -> None:
        """The newest connection of a consumer is over: if it has another one, it is to join there.

        It may not know, if it has never read that it was let in by the newest.
        """
        for identity, former in list(self._former.items()):
            if former.join.consumer == consumer:
                del self._former[identity]
                if self._send(identity, encode_control(FrameKind.REFUSAL, Refusal("join first", again=True))):
                    return

    def _leave(self, identity: bytes, reason: str, *, lost: bool) -> None:
        session = self._sessions.pop(identity, None)
        if session is not None and self._scheduler is not None:
            who = f"{reason} (node {session.join.node})"
            self._scheduler.groups.leave(session.group, identity, who, lost=lost)
            self._on_change()


def _rebinds(before: Join, join: Join) -> bool:
    """Whether a consumer that has joined is the same one, but for its bindings."""
    return msgspec.structs.replace(join, bindings=before.bindings, begun=before.begun) == before


def _parts(entries: list[QueuedMessage]) -> Iterator[list[QueuedMessage]]:
    """What goes into a frame each: one message, however large, or several that are small together."""
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

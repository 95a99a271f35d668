"""Outgoing replies, in batches. A client that does not read does not delay the others."""

import asyncio
from collections import deque
from dataclasses import dataclass, field

import zmq

from colugo.net.transport.socket_reader import SocketReader
from colugo.net.transport.turn import Turn
from colugo.protocol.frames import BATCH_BYTES, MAX_COUNT, FrameKind
from colugo.protocol.requests.calls import Call, encode_calls

_NOBLOCK = int(zmq.NOBLOCK)
_NOBLOCK_MORE = int(zmq.NOBLOCK | zmq.SNDMORE)

_MAX_BACKLOG = 10_000
_MAX_BACKLOG_BYTES = 64 * 1024 * 1024
_RETRY_S = 0.01


@dataclass(eq=False, slots=True)
class _Backlog:
    """The messages that wait for one client, each with its number of replies and its size in bytes."""

    messages: deque[tuple[list[bytes], int, int]] = field(default_factory=deque)
    count: int = 0
    size: int = 0


class ReplyBatches:
    """Replies on a ROUTER socket: replies to one client in one turn of the loop leave together.

    The server closes the socket.
    """

    def __init__(self, socket: zmq.Socket[bytes], server: bytes) -> None:
        self._socket = socket
        self._server = server
        self._reader: SocketReader | None = None
        self._gathered: dict[bytes, list[Call]] = {}
        self._gathered_bytes = 0
        self._held = False
        self._turn = Turn(self._end_turn)
        self._backlog: dict[bytes, _Backlog] = {}
        self._retry_timer: asyncio.TimerHandle | None = None
        self.dropped = 0

    def open(self, reader: SocketReader) -> None:
        """Begin to send on the socket of this reader."""
        self._reader = reader

    def close(self) -> None:
        """Send gathered replies, as far as the socket takes them."""
        self._flush()
        self._reader = None
        if self._retry_timer is not None:
            self._retry_timer.cancel()

    def hold(self) -> None:
        """Gather replies until `release()`."""
        self._held = True

    def release(self) -> None:
        """Send gathered replies."""
        self._held = False
        if self._gathered:
            self._turn.begin()
            self._flush()

    def add(self, identity: bytes, call: Call) -> None:
        """Send a reply to a colugo client: at once if it is the first in a turn of the loop."""
        calls = self._gathered.get(identity)
        if calls is None:
            self._gathered[identity] = [call]
        else:
            calls.append(call)
        self._gathered_bytes += len(call.payload)
        if self._gathered_bytes >= BATCH_BYTES or (not self._held and self._turn.begin()):
            self._flush()

    def send(self, frames: list[bytes], count: int) -> None:
        """Send a message of `count` replies, or keep it until the client reads.

        If too many wait, drop the oldest. The first frame is ZeroMQ's identity of the client's connection.
        """
        self._turn.begin()
        identity = frames[0]
        waiting = self._backlog.get(identity)
        if waiting is None:
            if self._try_send(frames, count):
                return
            waiting = self._backlog[identity] = _Backlog()
            self._retry_later()
        size = sum(map(len, frames))
        waiting.messages.append((frames, count, size))
        waiting.count += count
        waiting.size += size
        while len(waiting.messages) > 1 and (
            waiting.count > _MAX_BACKLOG or waiting.size > _MAX_BACKLOG_BYTES
        ):  # the oldest first: their requests are the most likely to have timed out
            _, oldest, oldest_size = waiting.messages.popleft()
            waiting.count -= oldest
            waiting.size -= oldest_size
            self.dropped += oldest

    def _end_turn(self) -> None:
        self._flush()
        if self._reader is not None:
            self._reader.drain()  # sending may have consumed the signal of the descriptor

    def _flush(self) -> None:
        gathered, self._gathered = self._gathered, {}
        self._gathered_bytes = 0
        for identity, calls in gathered.items():
            for begin in range(0, len(calls), MAX_COUNT):
                part = calls[begin : begin + MAX_COUNT]
                self.send([identity, encode_calls(FrameKind.REPLY, self._server, part)], len(part))

    def _try_send(self, frames: list[bytes], count: int) -> bool:
        """Send a message; return False if the client's pipe is full, and True also if the client is gone."""
        try:
            for frame in frames[:-1]:
                self._socket.send(frame, _NOBLOCK_MORE)
            self._socket.send(frames[-1], _NOBLOCK)
        except zmq.Again:
            return False
        except zmq.ZMQError as error:
            if error.errno != zmq.EHOSTUNREACH:
                raise
            self.dropped += count
        return True

    def _retry_later(self) -> None:
        """Set a timer. ZeroMQ gives no signal: a ROUTER is writable as soon as any of its peers is."""
        if self._retry_timer is None:
            self._retry_timer = asyncio.get_running_loop().call_later(_RETRY_S, self._retry)

    def _retry(self) -> None:
        self._retry_timer = None
        if self._reader is None:
            return
        self._turn.begin()
        for identity, waiting in list(self._backlog.items()):
            while waiting.messages and self._try_send(*waiting.messages[0][:2]):
                _, count, size = waiting.messages.popleft()
                waiting.count -= count
                waiting.size -= size
            if not waiting.messages:
                del self._backlog[identity]
        if self._backlog:
            self._retry_later()

"""Forwards Ethernet frames between pairs of interfaces, as told line by line on standard input."""

import errno
import heapq
import itertools
import json
import os
import random
import selectors
import socket
import struct
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

_ETH_P_ALL = 3
_SOL_PACKET = 263
_PACKET_ADD_MEMBERSHIP = 1
_PACKET_IGNORE_OUTGOING = 23
_PACKET_MR_PROMISC = 1
_SO_RCVBUFFORCE = 33
_BUFFER_BYTES = 8 * 1024 * 1024
_MAX_FRAME = 65536
_MAX_WAITING = 20_000
_READ_AT_ONCE = 64
_REFUSED = (errno.ENETDOWN, errno.ENOBUFS, errno.EAGAIN, errno.ENXIO)
"""The interface is down, or its queue is full: a frame is lost then, as on a real one."""


@dataclass
class Direction:
    """The treatment of frames in one direction.

    Attributes:
        source: where they come from.
        sink: where they go.
        cut: whether all of them vanish.
        loss: the share that vanishes.
        delay_s: how much later they arrive.
        late: the share that arrives later still, so that others overtake it.
        late_s: how much later.
        counts: how many were forwarded, lost on purpose, refused by the sink, and dropped from a full queue.
    """

    source: socket.socket
    sink: socket.socket
    cut: bool = False
    loss: float = 0.0
    delay_s: float = 0.0
    late: float = 0.0
    late_s: float = 0.0
    waiting: int = 0
    last_due: float = 0.0
    counts: dict[str, int] = field(
        default_factory=lambda: {"passed": 0, "lost": 0, "refused": 0, "overflowed": 0}
    )

    def send(self, frame: bytes) -> None:
        """Put it on the other interface."""
        try:
            self.sink.send(frame)
        except OSError as error:
            if error.errno not in _REFUSED:
                raise
            self.counts["refused"] += 1
        else:
            self.counts["passed"] += 1


def open_interface(name: str) -> socket.socket:
    """A socket on which all frames arrive that the interface receives, and by which it sends."""
    raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)  # of no protocol until it is bound
    raw.setblocking(False)
    raw.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER_BYTES)
    raw.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
    request = struct.pack("iHH8s", socket.if_nametoindex(name), _PACKET_MR_PROMISC, 0, b"")
    raw.setsockopt(_SOL_PACKET, _PACKET_ADD_MEMBERSHIP, request)
    raw.bind((name, _ETH_P_ALL))
    return raw


class Forwarder:
    """All cables of one network.

    Args:
        pairs: the interfaces at both ends of each: the host's side, and the network's.
        seed: of what is random.
    """

    def __init__(self, pairs: list[tuple[str, str]], seed: int) -> None:
        self._random = random.Random(seed)
        self._selector = selectors.DefaultSelector()
        self._queue: list[tuple[float, int, Direction, bytes]] = []
        self._numbers = itertools.count()
        self.cables: list[dict[str, Direction]] = []
        for names in pairs:
            near, far = map(open_interface, names)
            directions = {"out": Direction(near, far), "in": Direction(far, near)}
            self.cables.append(directions)
            for direction in directions.values():
                self._selector.register(direction.source, selectors.EVENT_READ, direction)

    def listen(self, file: int, on_input: Callable[[], None]) -> None:
        """Call back when there is something to be read from a file."""
        self._selector.register(file, selectors.EVENT_READ, on_input)

    def turn(self) -> None:
        """Wait for something to do, and do it."""
        wait_s = max(0.0, self._queue[0][0] - time.monotonic()) if self._queue else None
        for key, _ in self._selector.select(wait_s):
            if isinstance(key.data, Direction):
                self._read(key.data)
            else:
                key.data()
        while self._queue and self._queue[0][0] <= time.monotonic():
            _, _, direction, frame = heapq.heappop(self._queue)
            direction.waiting -= 1
            if direction.cut:
                direction.counts["lost"] += 1
            else:
                direction.send(frame)

    def _read(self, direction: Direction) -> None:
        for _ in range(_READ_AT_ONCE):
            try:
                frame, (_, _, packet_type, *_) = direction.source.recvfrom(_MAX_FRAME)
            except BlockingIOError:
                return
            except OSError as error:  # told once when the interface goes down
                if error.errno != errno.ENETDOWN:
                    raise
                return
            if packet_type != socket.PACKET_OUTGOING:
                self._forward(direction, frame)

    def _forward(self, direction: Direction, frame: bytes) -> None:
        if direction.cut or (direction.loss and self._random.random() < direction.loss):
            direction.counts["lost"] += 1
            return
        is_late = bool(direction.late) and self._random.random() < direction.late
        if not is_late and not direction.delay_s and not direction.waiting:
            direction.send(frame)
            return
        if direction.waiting >= _MAX_WAITING:
            direction.counts["overflowed"] += 1
            return
        due = time.monotonic() + direction.delay_s
        if is_late:
            due += direction.late_s
        else:
            due = direction.last_due = max(due, direction.last_due)
        direction.waiting += 1
        heapq.heappush(self._queue, (due, next(self._numbers), direction, frame))


def obey(forwarder: Forwarder, line: bytes) -> None:
    """Do what a line tells, and answer with the counts of that cable."""
    order: dict[str, Any] = json.loads(line)
    cable = forwarder.cables[order["cable"]]
    for name in order["ways"]:
        for attribute, value in order["set"].items():
            setattr(cable[name], attribute, value)
    print(json.dumps({name: direction.counts for name, direction in cable.items()}), flush=True)


def main(pairs: list[tuple[str, str]], seed: int) -> None:
    """Forward until the end of the input."""
    forwarder = Forwarder(pairs, seed)
    unread = b""
    ended = False

    def on_input() -> None:
        nonlocal unread, ended
        data = os.read(0, 65536)
        ended = not data
        *lines, unread = (unread + data).split(b"\n")
        for line in lines:
            obey(forwarder, line)

    forwarder.listen(0, on_input)
    print("ready", flush=True)
    while not ended:
        forwarder.turn()


if __name__ == "__main__":
    main(**json.loads(sys.argv[1]))

"""The publishing side of publish/subscribe."""

import asyncio
import os
import time
from collections.abc import Awaitable, Generator
from dataclasses import dataclass
from threading import get_ident
from typing import Any, Literal, get_args

import zmq

from colugo.errors import ClosedError, ConfigurationError, FlowError
from colugo.net.binding import Binding
from colugo.net.runtime import Runtime
from colugo.net.transport.socket_reader import SocketReader
from colugo.net.transport.sockets import LINGER_MS
from colugo.patterns.base import Part, ThrottledWarnings, check_count, check_size
from colugo.patterns.gate import Gate
from colugo.patterns.pubsub.backpressure import Backpressure
from colugo.patterns.pubsub.framed_writer import FramedWriter
from colugo.patterns.pubsub.raw_writer import RawWriter
from colugo.patterns.pubsub.readers import Reader
from colugo.patterns.pubsub.thread_handoff import TURN_S, ThreadHandoff
from colugo.protocol.advertisement import Framing, SocketKind
from colugo.protocol.codecs import PLAIN, resolve_codec
from colugo.protocol.description.socket_descriptions import PublisherDescription
from colugo.protocol.frames import ID_BYTES, LARGE_BYTES
from colugo.protocol.topics import check_topic

DEFAULT_HWM = 100_000
DEFAULT_MAX_BYTES = 64 * 1024 * 1024
DEFAULT_STALL_MS = 5_000
_DRAIN_S = 60.0
"""How long a node that stops waits for readers at most."""

FlowPolicy = Literal["drop", "wait"]


class _Done:
    """What is awaited when there is nothing to wait for."""

    def __await__(self) -> Generator[None, None, None]:
        return
        yield


_DONE = _Done()


@dataclass(frozen=True, slots=True)
class PublisherStats:
    """What a publisher has done.

    Attributes:
        sent: messages; with `conflate`, those included that a newer one replaced before they left.
        sent_bytes: bytes of the payloads that have left or are about to.
        subscribers: readers that are connected now.
        behind: of those, how many are so far behind that nothing is sent to them now.
        dropped: messages that were not sent to a reader because it was too far behind; counted for each
            such reader, when it takes part again or leaves. With `conflate` none is.
    """

    sent: int
    sent_bytes: int
    subscribers: int
    behind: int
    dropped: int


class Publisher(Part):
    """Sends messages to all subscribers of a topic; made by `Node.add_publisher`."""

    def __init__(
        self,
        runtime: Runtime,
        topic: str,
        *,
        codec: Any = None,
        framing: str = "colugo",
        port: int | None = None,
        retain: int = 0,
        hwm: int = DEFAULT_HWM,
        max_bytes: int = DEFAULT_MAX_BYTES,
        flow: FlowPolicy = "drop",
        stall_ms: int = DEFAULT_STALL_MS,
        conflate: bool = False,
    ) -> None:
        self.topic = check_topic(topic)
        self._codec = resolve_codec(codec)
        self._framing = check_framing(framing)
        for what, value in (("hwm", hwm), ("max_bytes", max_bytes), ("stall_ms", stall_ms)):
            check_count(what, value)
        _check_options(self._framing, flow, retain, conflate=conflate)
        super().__init__(runtime)
        self._plain = self._codec is PLAIN
        self._gatherer = 0
        self._limit = runtime.sockets.max_message_bytes
        self._gate = Gate(f"the publisher of {topic}")
        self._reader: SocketReader | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        # The batch that is being gathered. Each message takes its bytes of the room and an overhead, so
        # that the room is used up when the batch has enough messages, too.
        self._payloads: list[Any] = []
        self._text = False
        self._room = self._admitted = -1
        self._overhead = 0
        self._gathering = False
        self._turn_began = 0.0
        self._turn_over = False
        self._handoff = ThreadHandoff(runtime, self._append)
        self._conflate = conflate
        self._ending = False
        self._stall_ms = stall_ms
        self._complaints = ThrottledWarnings(runtime)
        socket_id = os.urandom(ID_BYTES)
        patience = stall_ms if flow == "wait" else None
        self._socket = runtime.sockets.xpub(hwm if self._framing is Framing.RAW else 0, patience)
        try:
            if self._framing is Framing.RAW:
                self._socket.set(zmq.XPUB_VERBOSER, 1)
                self._out: FramedWriter | RawWriter = RawWriter(self._socket, self._gate.set)
            else:
                self._socket.set(zmq.XPUB_MANUAL, 1)
                self._out = FramedWriter(
                    self._socket,
                    socket_id,
                    hwm=hwm,
                    max_bytes=max_bytes,
                    retain=retain,
                    stall_ms=patience,
                    conflate=conflate,
                    on_readers=self._gate.set,
                    on_cut=self._tell_cut,
                    look=self._look,
                )
            self._binding = Binding(
                runtime,
                self._socket,
                SocketKind.PUBLISHER,
                topic,
                socket_id=socket_id,
                codec=self._codec.name,
                framing=self._framing,
                port=port,
            )
        except BaseException:
            self._socket.close()
            raise
        runtime.when_open(self._open)

    @property
    def endpoints(self) -> list[str]:
        """Where it is bound, for peers that are given one instead of discovering it: tcp, then ipc."""
        return self._binding.endpoints

    @property
    def subscribers(self) -> int:
        """How many subscribers are connected (plain ZeroMQ ones: how many filters they have set)."""
        return self._gate.count

    @property
    def stats(self) -> PublisherStats:
        """Counters so far."""
        gathered = self._payloads
        return PublisherStats(
            sent=self._out.sequence + len(gathered),
            sent_bytes=self._out.sent_bytes + sum(map(len, gathered)),
            subscribers=self.subscribers,
            behind=self._out.behind,
            dropped=self._out.dropped,
        )

    def describe(self) -> object:
        """Describe it for the node's description."""
        return PublisherDescription.of(
            self.stats,
            topic=self.topic,
            socket_id=self._binding.advertisement.socket_id.hex(),
            codec=self._codec.name,
            framing=str(self._framing),
            endpoints=self.endpoints,
            flow="drop" if self._out.flow is None else "wait",
            conflate=self._conflate,
            readers=self._out.describe_readers(),
        )

    async def ready(self, n: int = 1) -> None:
        """Return when n subscribers are connected: what is sent from then on goes to them.

        Args:
            n: how many.

        Raises:
            ClosedError: if the node stops meanwhile.
            LifecycleError: on another thread than the node's; there, use `node.run(…)`.
        """
        self._check_thread()
        await self._gate.wait(n)

    def send(self, message: Any) -> None:
        """Send to all that are connected; never blocks. May be called from any thread.

        The first message of a turn of the loop leaves at once. Those that follow in the same turn leave
        together at its end, or when they have come to 64 KiB.

        With `flow="drop"`, a reader that is `hwm` messages or `max_bytes` behind loses what is sent until it
        has caught up, and counts it.

        Args:
            message: str, bytes, or what the codec takes. A bytearray or memoryview over 32 KiB is not
                always copied: it must not be changed until it has left.

        Raises:
            EncodeError: if the codec cannot take it.
            MessageTooLargeError: if it has more than the node's `max_message_bytes`.
            FlowError: if it is a `flow="wait"` publisher and a reader is too far behind, or this is not the
                node's thread.
            ClosedError: after the node has stopped.
        """
        # each line of this shows in the throughput: it is all that most messages of a batch need
        if type(message) is bytes and get_ident() == self._gatherer:
            room = self._room - len(message)
            if room >= 0:
                self._room = room - self._overhead
                self._payloads.append(message)
                return
        self._send_slowly(message)

    def send_wait(self, message: Any) -> Awaitable[None]:
        """Send when all readers can take it; to be awaited on the node's loop.

        What is sent like this is lost by no reader that stays connected and gets on. The slowest one sets
        the pace; one that handles nothing for `stall_ms` while others wait is left behind, is told so, and
        counts what it loses.

        Args:
            message: as for `send`.

        Raises:
            ConfigurationError: if the publisher was not made with `flow="wait"`.
            EncodeError: if the codec cannot take it.
            MessageTooLargeError: if it has more than the node's `max_message_bytes`.
            LifecycleError: on another thread than the node's; there, use `node.run(…)`.
            ClosedError: if the node stops meanwhile.
        """
        flow = self._out.flow
        if flow is None:
            raise ConfigurationError(f'send_wait needs add_publisher({self.topic!r}, flow="wait")')
        if flow.turn.locked():
            return self._wait_and_send(flow, message)
        try:
            self.send(message)
        except FlowError:
            return self._wait_and_send(flow, message)
        return asyncio.sleep(0) if self._turn_over else _DONE

    async def finish(self) -> None:
        """With `flow="wait"`, wait until all readers have handled what was sent.

        One that does not get on for `stall_ms` is waited for no longer, and none for more than a minute.
        """
        if self._out.flow is None or self._closed:
            return
        self._flush()
        self._ending = True
        self._out.flow.close()
        left = await self._out.drain(self._stall_ms / 1000, _DRAIN_S)
        if left:
            text = "the publisher of %s ends before %d of its readers have handled everything"
            self._runtime.logger.warning(text, self.topic, left)

    def _shut(self) -> None:
        """Withdraw and close; what was sent still leaves, for half a second at most."""
        self._binding.close()
        self._handoff.close(LINGER_MS / 1000)
        self._flush()
        self._out.close()
        self._gate.close()
        if self._reader is not None:
            self._reader.close()
        self._socket.close()

    def _open(self) -> None:
        if not self._closed:
            self._loop = asyncio.get_running_loop()
            self._reader = SocketReader(
                self._runtime.loop,
                self._socket,
                self._out.take,
                # who joins now gets what is retained, and no message that was sent before
                before_reading=self._flush,
            )
            self._out.open(self._loop)

    def _tell_cut(self) -> None:
        text = f"the publisher of {self.topic} goes on without a reader that held up the others"
        self._complaints.warn("cut", text, FlowError(f"it has handled nothing for {self._stall_ms} ms"))

    def _send_slowly(self, message: Any) -> None:
        """Send what is not just one more bytes object of the batch."""
        self._check_open()
        if self._ending:
            raise ClosedError(f"the node {self._runtime.name!r} is being stopped")
        payload, text = self._codec.pack(message)
        check_size(payload, self._limit)
        if get_ident() == self._runtime.owner:
            self._append(payload, text)
        elif self._out.flow is not None:
            raise FlowError(
                f"the publisher of {self.topic} waits for its readers: from another thread, use "
                "node.run(publisher.send_wait(…))"
            )
        else:
            self._handoff.put(payload, text=text)

    def _append(self, payload: Any, text: bool) -> None:  # noqa: FBT001 - as pack gives it
        size = len(payload)
        if self._payloads:
            if self._conflate:  # it replaces what has not left yet
                self._payloads.clear()
                self._out.sequence += 1
            elif text is not self._text or size > self._room or size > LARGE_BYTES:
                self._flush()
        if not self._payloads:
            self._admitted, most = self._out.admit(size)
            self._room = self._admitted
            self._overhead = self._admitted // most + 1
            self._text = text
        self._payloads.append(payload)
        self._room -= size + self._overhead
        if self._loop is None:
            self._flush()
        elif not self._gathering:
            self._gathering = True
            self._turn_began = time.monotonic()
            self._loop.call_soon(self._end_turn)
            self._flush()
        elif self._conflate:
            return
        elif self._room < 0 or size > LARGE_BYTES:
            self._flush()
        elif self._plain and not text:
            self._gatherer = self._runtime.owner

    def _flush(self) -> None:
        if not self._payloads:
            return
        payloads, self._payloads = self._payloads, []
        size = self._admitted - self._room - len(payloads) * self._overhead
        self._room = -1
        self._gatherer = 0
        self._out.send(payloads, size, text=self._text)
        self._turn_over = time.monotonic() - self._turn_began > TURN_S

    def _end_turn(self) -> None:
        """The turn of the loop in which the batch began is over."""
        self._gathering = self._turn_over = False
        if self._closed:
            return
        self._flush()
        if self._reader is not None:
            self._reader.drain()  # sending may have consumed the signal of the descriptor

    def _look(self) -> None:
        if self._reader is not None:
            self._reader.kick()

    async def _wait_and_send(self, flow: Backpressure[Reader], message: Any) -> None:
        self._check_thread()
        async with flow.turn:
            while True:
                await flow.opened()
                try:
                    self.send(message)
                except FlowError:
                    continue
                return


def _check_options(framing: Framing, flow: str, retain: int, *, conflate: bool) -> None:
    if flow not in get_args(FlowPolicy):
        raise ConfigurationError(f"flow is one of {', '.join(get_args(FlowPolicy))}, not {flow!r}")
    if isinstance(retain, bool) or not isinstance(retain, int) or retain < 0:
        raise ConfigurationError(f"retain is a number of messages from 0 on, not {retain!r}")
    if conflate and flow == "wait":
        raise ConfigurationError('conflate=True does not wait for readers: leave out flow="wait"')
    if framing is Framing.RAW and (flow == "wait" or retain or conflate):
        raise ConfigurationError('flow="wait", retain and conflate need readers of ours: framing="colugo"')


def check_framing(framing: str) -> Framing:
    """Return the framing of that name.

    Raises:
        ConfigurationError: if there is none.
    """
    try:
        return Framing(framing)
    except ValueError:
        raise ConfigurationError(f'framing is "colugo" or "raw", not {framing!r}') from None

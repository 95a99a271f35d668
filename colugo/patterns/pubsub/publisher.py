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
from colugo.patterns.base import Part, check_count, check_size
from colugo.patterns.gate import Gate
from colugo.patterns.pubsub.backpressure import Backpressure
from colugo.patterns.pubsub.framed_writer import FramedWriter
from colugo.patterns.pubsub.raw_writer import RawWriter
from colugo.patterns.pubsub.subscriber_credit import JoinedSubscriber
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
"""The longest wait of a stopping node for its subscribers."""

FlowPolicy = Literal["drop", "wait"]


class _Done:
    """An awaitable for when there is nothing to wait for."""

    def __await__(self) -> Generator[None, None, None]:
        return
        yield


_DONE = _Done()


@dataclass(frozen=True, slots=True)
class PublisherStats:
    """The counters of a publisher.

    Attributes:
        sent: messages sent; with `conflate`, including those that a newer one replaced before they were sent.
        sent_bytes: bytes of their payloads.
        subscribers: subscribers that are connected now.
        behind: subscribers among them that are too far behind to be sent anything.
        dropped: messages that were not sent to a subscriber because it was too far behind; counted for each
            such subscriber when it has caught up or leaves. Always 0 with `conflate`.
    """

    sent: int
    sent_bytes: int
    subscribers: int
    behind: int
    dropped: int


class Publisher(Part):
    """The sending side of a topic; made by `Node.add_publisher`."""

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
        # The batch that is being gathered. Each message uses its size plus an overhead of the room, so that
        # the room also ends when the batch has enough messages.
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
        socket_id = os.urandom(ID_BYTES)
        patience = stall_ms if flow == "wait" else None
        self._socket = runtime.sockets.xpub(hwm if self._framing is Framing.RAW else 0, patience)
        try:
            if self._framing is Framing.RAW:
                self._socket.set(zmq.XPUB_VERBOSER, 1)
                self._writer: FramedWriter | RawWriter = RawWriter(self._socket, self._gate)
            else:
                self._socket.set(zmq.XPUB_MANUAL, 1)
                self._writer = FramedWriter(
                    runtime,
                    topic,
                    self._socket,
                    socket_id,
                    gate=self._gate,
                    hwm=hwm,
                    max_bytes=max_bytes,
                    retain=retain,
                    stall_ms=patience,
                    conflate=conflate,
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
        """The bound endpoints, for peers that do not discover the publisher: tcp, then ipc."""
        return self._binding.endpoints

    @property
    def subscribers(self) -> int:
        """The number of connected subscribers; with `framing="raw"`, the number of their filters."""
        return self._gate.count

    @property
    def stats(self) -> PublisherStats:
        """The counters so far."""
        gathered = self._payloads
        return PublisherStats(
            sent=self._writer.sequence + len(gathered),
            sent_bytes=self._writer.sent_bytes + sum(map(len, gathered)),
            subscribers=self.subscribers,
            behind=self._writer.behind,
            dropped=self._writer.dropped,
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
            flow="drop" if self._writer.backpressure is None else "wait",
            conflate=self._conflate,
            readers=self._writer.describe_subscribers(),
        )

    async def ready(self, n: int = 1) -> None:
        """Wait until n subscribers are connected, which receive all messages sent from then on.

        Args:
            n: the number of subscribers.

        Raises:
            ClosedError: if the node stops meanwhile.
            LifecycleError: on another thread than the node's; there, use `node.run(…)`.
        """
        self._check_thread()
        await self._gate.wait(n)

    def send(self, message: Any) -> None:
        """Send a message to all connected subscribers; never blocks. May be called from any thread.

        The first message of a turn of the loop is sent at once. Further messages of the same turn are sent
        together at its end, or as soon as they amount to 64 KiB.

        With `flow="drop"`, a subscriber that is `hwm` messages or `max_bytes` behind loses further messages
        until it has caught up, and counts them.

        Args:
            message: str, bytes, or any object that the codec encodes. A bytearray or memoryview over 32 KiB
                is not always copied: do not change it until it has been sent.

        Raises:
            EncodeError: if the codec cannot encode the message.
            MessageTooLargeError: if it is larger than the node's `max_message_bytes`.
            FlowError: with `flow="wait"`, if a subscriber is too far behind, or on another thread than the
                node's.
            ClosedError: after the node has stopped.
        """
        # each line shows in the throughput, because most messages of a batch need nothing else
        if type(message) is bytes and get_ident() == self._gatherer:
            room = self._room - len(message)
            if room >= 0:
                self._room = room - self._overhead
                self._payloads.append(message)
                return
        self._send_slowly(message)

    def send_wait(self, message: Any) -> Awaitable[None]:
        """Send a message as soon as all subscribers have credit for it. Await it on the node's loop.

        No subscriber loses such a message as long as it stays connected and makes progress. The slowest
        subscriber sets the pace. One that acknowledges nothing for `stall_ms` while others wait is cut off:
        it is notified, and counts the messages it loses until it has caught up.

        Args:
            message: as for `send`.

        Raises:
            ConfigurationError: if the publisher was not made with `flow="wait"`.
            EncodeError: if the codec cannot encode the message.
            MessageTooLargeError: if it is larger than the node's `max_message_bytes`.
            LifecycleError: on another thread than the node's; there, use `node.run(…)`.
            ClosedError: if the node stops meanwhile.
        """
        backpressure = self._writer.backpressure
        if backpressure is None:
            raise ConfigurationError(f'send_wait needs add_publisher({self.topic!r}, flow="wait")')
        if backpressure.turn.locked():
            return self._wait_and_send(backpressure, message)
        try:
            self.send(message)
        except FlowError:
            return self._wait_and_send(backpressure, message)
        return asyncio.sleep(0) if self._turn_over else _DONE

    async def finish(self) -> None:
        """With `flow="wait"`, wait until all subscribers have acknowledged everything.

        The wait ends after `stall_ms` without progress, and after a minute in any case.
        """
        backpressure = self._writer.backpressure
        if backpressure is None or self._closed:
            return
        self._flush()
        self._ending = True
        backpressure.close()
        left = await self._writer.drain(self._stall_ms / 1000, _DRAIN_S)
        if left:
            text = "the publisher of %s closes before %d of its subscribers have acknowledged everything"
            self._runtime.logger.warning(text, self.topic, left)

    def _shut(self) -> None:
        """Withdraw and close, after at most half a second for messages on their way out."""
        self._binding.close()
        self._handoff.close(LINGER_MS / 1000)
        self._flush()
        self._writer.close()
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
                self._writer.take,
                # a subscriber that joins now receives the retained messages, and none that was sent before
                before_reading=self._flush,
            )
            self._writer.open(self._loop, self._reader)

    def _send_slowly(self, message: Any) -> None:
        """Send a message that is not just one more bytes object of the batch."""
        self._check_open()
        if self._ending:
            raise ClosedError(f"the node {self._runtime.name!r} is stopping")
        payload, text = self._codec.pack(message)
        check_size(payload, self._limit)
        if get_ident() == self._runtime.owner:
            self._append(payload, text)
        elif self._writer.backpressure is not None:
            raise FlowError(
                f'the publisher of {self.topic} has flow="wait": from another thread, use '
                "node.run(publisher.send_wait(…))"
            )
        else:
            self._handoff.put(payload, text=text)

    def _append(self, payload: Any, text: bool) -> None:  # noqa: FBT001 - as pack returns it
        size = len(payload)
        if self._payloads:
            if self._conflate:  # the message replaces one that was not sent yet
                self._payloads.clear()
                self._writer.count_replaced()
            elif text is not self._text or size > self._room or size > LARGE_BYTES:
                self._flush()
        if not self._payloads:
            self._admitted, most = self._writer.admit(size)
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
        self._writer.send(payloads, size, text=self._text)
        self._turn_over = time.monotonic() - self._turn_began > TURN_S

    def _end_turn(self) -> None:
        """Send the batch at the end of the turn of the loop in which it began."""
        self._gathering = self._turn_over = False
        if self._closed:
            return
        self._flush()
        if self._reader is not None:
            self._reader.drain()  # sending may have consumed the signal of the descriptor

    async def _wait_and_send(self, backpressure: Backpressure[JoinedSubscriber], message: Any) -> None:
        self._check_thread()
        async with backpressure.turn:
            while True:
                await backpressure.opened()
                try:
                    self.send(message)
                except FlowError:
                    continue
                return


def _check_options(framing: Framing, flow: str, retain: int, *, conflate: bool) -> None:
    if flow not in get_args(FlowPolicy):
        raise ConfigurationError(f"flow must be one of {', '.join(get_args(FlowPolicy))}, not {flow!r}")
    if isinstance(retain, bool) or not isinstance(retain, int) or retain < 0:
        raise ConfigurationError(f"retain must be an integer ≥ 0, not {retain!r}")
    if conflate and flow == "wait":
        raise ConfigurationError('conflate=True cannot be combined with flow="wait"')
    if framing is Framing.RAW and (flow == "wait" or retain or conflate):
        raise ConfigurationError('flow="wait", retain and conflate need framing="colugo"')


def check_framing(framing: str) -> Framing:
    """Return the framing of a name.

    Raises:
        ConfigurationError: if there is no such framing.
    """
    try:
        return Framing(framing)
    except ValueError:
        raise ConfigurationError(f'framing must be "colugo" or "raw", not {framing!r}') from None

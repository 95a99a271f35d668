"""Where a messenger's acknowledged messages are kept: at a relay, or in a stream of its own."""

import asyncio
import contextlib
import ipaddress
import os
import time
from collections.abc import Awaitable, Callable

from colugo.errors import (
    ClosedError,
    ConfigurationError,
    NotStoredError,
    RelayError,
    RequestError,
    StoreError,
    StreamFullError,
)
from colugo.messenger.named_message import Envelope, to_bytes
from colugo.messenger.names import GIVEN_TOPIC, MAX_DELIVER, MEETING_S, PING, RELAY_TOPIC, TOPIC
from colugo.net.transport.port_choice import check_port
from colugo.node import Node
from colugo.patterns.streams.consuming.delivery import Delivery
from colugo.patterns.streams.stream import Stream

_HANDED_OVER_AT_A_TIME = 50
_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 30.0
"""How long to wait until a relay that has not taken a message over is asked again; doubled each time."""


class Keeping:
    """Gives messages to a relay if there is one, and keeps those that it could not give.

    It is used on the node's loop, but for its making.

    Args:
        node: the messenger's.
        server: endpoint of the only relay that counts; None for those that are discovered.
        store: path of the own stream's file; None to keep messages in memory, but not if a server was given.
        timeout_s: how long one try takes at most.
        tries: how often to try.
        say: tells what happens, if it is wanted.
    """

    def __init__(
        self,
        node: Node,
        *,
        server: str | None,
        store: str | os.PathLike[str] | None,
        timeout_s: float,
        tries: int,
        say: Callable[[str], None],
    ) -> None:
        self._node = node
        self._server = server
        self._timeout_s = timeout_s
        self._tries = tries
        self._say = say
        self._stream: Stream | None = None
        self._stream_made = time.monotonic()
        self._task: asyncio.Task[None] | None = None
        self._at_once = asyncio.Event()
        self.stored = self.handed_over = 0
        if store is not None:
            self._stream = self._make_stream(store)
        self._relay = node.add_request_client(
            RELAY_TOPIC if server is None else GIVEN_TOPIC,
            self._on_relay,
            connect=[] if server is None else [server],
        )

    @property
    def relays(self) -> int:
        """How many relays are connected."""
        return len(self._relay.servers)

    @property
    def kept(self) -> int:
        """How many messages the own stream keeps."""
        return 0 if self._stream is None else self._stream.stats.messages

    @property
    def dead(self) -> int:
        """How many of its messages were given up."""
        return 0 if self._stream is None else self._stream.stats.dead

    @property
    def meeting_s(self) -> float:
        """How much longer others may take to discover the own stream, seconds."""
        return max(0.0, self._stream_made + MEETING_S - time.monotonic())

    async def reach_relay(self) -> None:
        """Return when the given relay answers.

        Raises:
            RelayError: if it does not.
        """
        await self._retry(lambda: self._ask(PING), RelayError, "no relay answers")

    async def meet_relay(self, within_s: float) -> None:
        """Return when a relay is connected, or the time is over."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._relay.ready()

    async def forward(self, envelope: Envelope) -> None:
        """Give a message to the given relay, for whoever listens there.

        Raises:
            RelayError: if it could not be given.
        """
        await self._retry(lambda: self._give(envelope), RelayError, _not_sent(envelope))

    async def keep(self, envelope: Envelope) -> None:
        """Return when the message is stored.

        Raises:
            RelayError: if the given relay has not stored it.
            NotStoredError: if nobody has.
        """
        if self._server is not None and self._stream is None:
            await self.forward(envelope)
        else:
            await self._retry(lambda: self._keep_somewhere(envelope), NotStoredError, _not_sent(envelope))
        self.stored += 1

    async def _retry(
        self, attempt: Callable[[], Awaitable[None]], kind: type[NotStoredError | RelayError], what: str
    ) -> None:
        loop = asyncio.get_running_loop()
        failure: Exception | None = None
        for number in range(1, self._tries + 1):
            until = loop.time() + self._timeout_s
            try:
                await attempt()
            except (RequestError, StoreError, StreamFullError) as error:
                if isinstance(error.__cause__, ClosedError):
                    raise error.__cause__ from error
                failure = error
                self._say(f"try {number} of {self._tries}: {what}: {error}")
                if number < self._tries:
                    await asyncio.sleep(until - loop.time())
            else:
                return
        why = str(failure)
        if self._server is not None and not self._relay.servers:
            why = f"nobody is connected at {self._server}; is `colugo relay` running there?"
        raise kind(f"{what} ({self._tries} tries of {self._timeout_s:g} s): {why}") from failure

    async def _keep_somewhere(self, envelope: Envelope) -> None:
        if self._relay.servers:
            try:
                await self._give(envelope)
            except RequestError as error:
                self._say(f"the relay has not taken {envelope.name!r}, so it is kept here: {error}")
            else:
                return
        if self._stream is None:
            self._stream = self._make_stream(None)
            self._stream_made = time.monotonic()
        data = to_bytes(envelope)
        await self._stream.send_wait(data, key=envelope.name, headers={"id": envelope.id})
        if self._relay.servers:
            self._begin_to_hand_over()

    async def _give(self, envelope: Envelope) -> None:
        await self._ask(to_bytes(envelope))

    async def _ask(self, data: bytes) -> None:
        await self._relay.request(data, timeout_ms=max(1, round(self._timeout_s * 1000)))

    def _make_stream(self, store: str | os.PathLike[str] | None) -> Stream:
        return self._node.add_stream(TOPIC, store=store, ack="any", max_deliver=MAX_DELIVER)

    # --- what was kept, when a relay comes

    def _on_relay(self) -> None:
        self._say("a relay is connected")
        self._at_once.set()
        self._begin_to_hand_over()

    def _begin_to_hand_over(self) -> None:
        if self._stream is not None and (self._task is None or self._task.done()):
            runtime = self._node._runtime  # noqa: SLF001 - what is built of nodes may look into them
            self._task = runtime.spawn(self._hand_over(self._stream), "hand over to the relay")

    async def _hand_over(self, stream: Stream) -> None:
        """Give relays what the own stream keeps; one that is full is asked again, with growing pauses."""
        pause_s = _PAUSE_S
        while stream.stats.messages and self._relay.servers:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await self._at_once.wait()
            self._at_once.clear()
            before = self.handed_over
            await self._hand_over_until_one_fails(stream)
            pause_s = _PAUSE_S if self.handed_over > before else min(2 * pause_s, _LONGEST_PAUSE_S)

    async def _hand_over_until_one_fails(self, stream: Stream) -> None:
        """Give the relay what the stream keeps, as its consumer, until all is given or one try fails."""
        failed = asyncio.Event()

        async def give(data: bytes, delivery: Delivery) -> None:
            if failed.is_set():
                return  # not settled: it goes back when the consumer is closed
            try:
                await self._ask(data)
            except RequestError as error:
                self._say(f"the relay has not taken over {delivery.key!r}: {error}")
                failed.set()
            else:
                self.handed_over += 1
                delivery.ack()

        # a topic that nobody has, so that it is given no other stream than this one
        consumer = self._node.add_consumer(
            GIVEN_TOPIC,
            give,
            connect=stream.endpoints[:1],
            durable=False,
            auto_ack=False,
            concurrency=_HANDED_OVER_AT_A_TIME,
        )
        waiting = [asyncio.ensure_future(stream.drained()), asyncio.ensure_future(failed.wait())]
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in waiting:
                one.cancel()
            consumer.close()
            with contextlib.suppress(ClosedError):
                await asyncio.gather(*waiting, return_exceptions=True)

    async def finish(self, within_s: float, meeting_s: float) -> None:
        """Wait until what is kept here has been handed over, or acknowledged by consumers; not for long.

        Args:
            within_s: seconds at most.
            meeting_s: of these, how many for a relay or a consumer to come, if there is none.
        """
        stream = self._stream
        if stream is None or not stream.stats.messages:
            return
        loop = asyncio.get_running_loop()
        until = loop.time() + within_s
        if not (self._relay.servers or stream.consumers):
            await self._meet_anybody(stream, min(until, loop.time() + meeting_s))
        if self._relay.servers:
            self._at_once.set()
            self._begin_to_hand_over()
        elif not stream.consumers:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(until):
                await stream.drained()

    async def _meet_anybody(self, stream: Stream, until: float) -> None:
        """Return when a relay or a consumer is connected, or the time has come."""
        waiting = [asyncio.ensure_future(one) for one in (self._relay.ready(), stream.ready())]
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(until):
                    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in waiting:
                one.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)


def _not_sent(envelope: Envelope) -> str:
    return f"the message {envelope.name!r} could not be {'stored' if envelope.ack else 'sent'}"


def relay_endpoint(address: str, port: int) -> str:
    """The endpoint of a relay's port.

    Args:
        address: its host's name or address.
        port: 1 to 65535.

    Raises:
        ConfigurationError: if that is no port, or the address has one.
    """
    check_port(port)
    if not isinstance(address, str) or not address:
        raise ConfigurationError(f"server_address is the name or address of a host, not {address!r}")
    host = address.removeprefix("[").removesuffix("]")
    if "/" in host or (":" in host and not _is_ipv6(host)):
        raise ConfigurationError(
            f"server_address is the name or address of a host alone, not {address!r}: the ports are "
            "send_port and sub_port"
        )
    return f"tcp://[{host}]:{port}" if ":" in host else f"tcp://{host}:{port}"


def _is_ipv6(host: str) -> bool:
    try:
        ipaddress.IPv6Address(host)
    except ValueError:
        return False
    return True

"""The outbox of a messenger: acknowledged messages go to a relay, or into a stream of its own."""

import asyncio
import contextlib
import ipaddress
import os
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any

from colugo.errors import (
    ClosedError,
    ConfigurationError,
    NotStoredError,
    RelayError,
    RequestError,
    StoreError,
    StreamFullError,
)
from colugo.messenger.named_message import (
    DISCOVERY_S,
    GIVEN_TOPIC,
    MAX_DELIVER,
    PING,
    RELAY_TOPIC,
    TOPIC,
    Envelope,
    to_bytes,
)
from colugo.net.transport.port_choice import check_port
from colugo.node import Node
from colugo.patterns.streams.consuming.delivery import Delivery
from colugo.patterns.streams.stream import Stream

if TYPE_CHECKING:
    from colugo.patterns.base import Part
    from colugo.patterns.requests.request_client import RequestClient

_HANDED_OVER_AT_A_TIME = 50
_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 30.0
"""The backoff after a relay has refused a message: it starts with one, doubles, and ends with the other."""


class Outbox:
    """Gives messages to a relay if one is connected, and stores the others in a stream of its own.

    Its methods are for the node's loop.

    Args:
        server: the endpoint of the only relay to use; None for those that are discovered.
        store: the path of the own stream's file; None to store messages in memory, or with a server nowhere.
        timeout_s: the longest time for one try, in seconds.
        report: called with a line of text about each step.
    """

    def __init__(
        self,
        node: Node,
        *,
        server: str | None,
        store: str | os.PathLike[str] | None,
        timeout_s: float,
        tries: int,
        report: Callable[[str], None],
    ) -> None:
        self._node = node
        self._server = server
        self._timeout_s = timeout_s
        self._tries = tries
        self._report = report
        self._stream: Stream | None = None
        self._stream_made = time.monotonic()
        self._handing_over = False
        self._retry_now = asyncio.Event()
        self._store = store
        self._relay: RequestClient
        self.stored = self.handed_over = 0
        self.parts: list[Part] = []
        """Its sockets on the node."""

    def open(self) -> None:
        """Add the sockets to the node; raise StoreError if the store cannot be used."""
        if self._store is not None:
            self._stream = self._make_stream(self._store)
        self._relay = self._node.add_request_client(
            RELAY_TOPIC if self._server is None else GIVEN_TOPIC,
            self._on_relay,
            connect=[] if self._server is None else [self._server],
        )
        self.parts.append(self._relay)

    @property
    def relays(self) -> int:
        """The number of relays that are connected."""
        return len(self._relay.servers)

    @property
    def kept(self) -> int:
        """The number of messages in the own stream."""
        return 0 if self._stream is None else self._stream.stats.messages

    @property
    def dead(self) -> int:
        """The number of dead letters in the own stream."""
        return 0 if self._stream is None else self._stream.stats.dead

    @property
    def discovery_left_s(self) -> float:
        """The time that others may still need to discover the own stream, in seconds."""
        return max(0.0, self._stream_made + DISCOVERY_S - time.monotonic())

    async def reach_relay(self) -> None:
        """Return when the given relay answers; raise RelayError if it does not."""
        await self._retry(lambda: self._ask(PING), RelayError, "no relay answers")

    async def wait_for_relay(self, timeout_s: float) -> None:
        """Return when a relay is connected, or after the timeout."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._relay.ready()

    async def forward(self, envelope: Envelope) -> None:
        """Send a message to the given relay; raise RelayError if it has not taken the message."""
        await self._retry(lambda: self._ask(to_bytes(envelope)), RelayError, _not_sent(envelope))

    async def store(self, envelope: Envelope) -> None:
        """Return when the message is stored.

        Raises:
            RelayError: if the given relay has not stored it.
            NotStoredError: if neither a relay nor the own stream has stored it.
        """
        if self._server is not None and self._stream is None:
            await self.forward(envelope)
        else:
            await self._retry(lambda: self._store_anywhere(envelope), NotStoredError, _not_sent(envelope))
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
                self._report(f"try {number} of {self._tries}: {what}: {error}")
                if number < self._tries:
                    await asyncio.sleep(until - loop.time())
            else:
                return
        why = str(failure)
        if self._server is not None and not self._relay.servers:
            why = f"nobody is connected at {self._server}; is `colugo relay` running there?"
        raise kind(f"{what} ({self._tries} tries of {self._timeout_s:g} s): {why}") from failure

    async def _store_anywhere(self, envelope: Envelope) -> None:
        data = to_bytes(envelope)
        if self._relay.servers:
            try:
                await self._ask(data)
            except RequestError as error:
                self._report(f"the relay has not taken {envelope.name!r}, so it is kept here: {error}")
            else:
                return
        if self._stream is None:
            self._stream = self._make_stream(None)
            self._stream_made = time.monotonic()
        await self._stream.send_wait(data, key=envelope.name, headers={"id": envelope.id})
        if self._relay.servers:
            self._begin_to_hand_over()

    async def _ask(self, data: bytes) -> None:
        await self._relay.request(data, timeout_ms=max(1, round(self._timeout_s * 1000)))

    def _make_stream(self, store: str | os.PathLike[str] | None) -> Stream:
        stream = self._node.add_stream(TOPIC, store=store, ack="any", max_deliver=MAX_DELIVER)
        self.parts.append(stream)
        return stream

    # --- handing over to a relay

    def _on_relay(self) -> None:
        self._report("a relay is connected")
        self._retry_now.set()
        self._begin_to_hand_over()

    def _begin_to_hand_over(self) -> None:
        if self._stream is not None and not self._handing_over:
            with contextlib.suppress(ClosedError):  # the node is about to close
                self._node.spawn(self._hand_over(self._stream), name="hand over to the relay")
                self._handing_over = True

    async def _hand_over(self, stream: Stream) -> None:
        """Send relays what is in the own stream, with a growing backoff while they take nothing."""
        pause_s = _PAUSE_S
        try:
            while not stream.closed and stream.stats.messages and self._relay.servers:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(pause_s):
                        await self._retry_now.wait()
                self._retry_now.clear()
                before = self.handed_over
                if not stream.closed:
                    await self._hand_over_until_one_fails(stream)
                pause_s = _PAUSE_S if self.handed_over > before else min(2 * pause_s, _LONGEST_PAUSE_S)
        finally:
            self._handing_over = False

    async def _hand_over_until_one_fails(self, stream: Stream) -> None:
        """Send the relay what is in the stream, as its consumer, until it is drained or a request fails."""
        failed = asyncio.Event()

        async def give(data: bytes, delivery: Delivery) -> None:
            if failed.is_set():
                return  # unsettled: redelivered when the consumer is closed
            try:
                await self._ask(data)
            except RequestError as error:
                self._report(f"the relay has not taken over {delivery.key!r}: {error}")
                failed.set()
            else:
                self.handed_over += 1
                delivery.ack()

        # no stream advertises this topic, so the consumer gets this stream only
        consumer = self._node.add_consumer(
            GIVEN_TOPIC,
            give,
            connect=stream.endpoints[:1],
            durable=False,
            auto_ack=False,
            concurrency=_HANDED_OVER_AT_A_TIME,
        )
        try:
            await _first_of(stream.drained(), failed.wait())
        finally:
            consumer.close()

    async def drain(self, timeout_s: float, discovery_s: float) -> None:
        """Wait until relays have taken over the own stream's messages, or consumers acknowledged them.

        If none is connected, `discovery_s` of `timeout_s` is the time for one to connect, in seconds.
        """
        stream = self._stream
        if stream is None or not stream.stats.messages:
            return
        loop = asyncio.get_running_loop()
        until = loop.time() + timeout_s
        if not (self._relay.servers or stream.consumers):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(min(until, loop.time() + discovery_s)):
                    await _first_of(self._relay.ready(), stream.ready())
        if self._relay.servers:
            self._retry_now.set()
            self._begin_to_hand_over()
        elif not stream.consumers:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(until):
                await stream.drained()


async def _first_of(*coroutines: Coroutine[Any, Any, object]) -> None:
    """Return when one of them has returned or raised, and cancel the others."""
    waiting = [asyncio.ensure_future(one) for one in coroutines]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for one in waiting:
            one.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


def _not_sent(envelope: Envelope) -> str:
    return f"the message {envelope.name!r} could not be {'stored' if envelope.ack else 'sent'}"


def relay_endpoint(address: str, port: int) -> str:
    """Return the endpoint of a relay.

    Raises:
        ConfigurationError: if the port is none, or the address contains one.
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

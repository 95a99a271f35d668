"""The subscriptions of a messenger: names as bindings of a consumer."""

import asyncio
from typing import TYPE_CHECKING

from colugo.messenger.callback_thread import CallbackThread
from colugo.messenger.named_message import GIVEN_TOPIC, TOPIC, passing_key
from colugo.messenger.receiving import Receiving
from colugo.node import Node
from colugo.patterns.base import Part
from colugo.protocol.streams.bindings import Bindings, exact

if TYPE_CHECKING:
    from colugo.patterns.streams.consuming.consumer import Consumer


class Subscriptions:
    """The consumer of a messenger: a group of its own, bound to the names that have a callback.

    Args:
        node: the messenger's node.
        receiving: has the callbacks.
        worker: runs the callbacks.
        receive_from: the endpoint of the only stream to consume; None for all that are discovered.
        timeout_s: the longest time to wait for that stream, in seconds.
    """

    def __init__(
        self,
        node: Node,
        receiving: Receiving,
        worker: CallbackThread,
        *,
        receive_from: str | None,
        timeout_s: float,
    ) -> None:
        self._node = node
        self._receiving = receiving
        self._worker = worker
        self._receive_from = receive_from
        self._timeout_s = timeout_s
        self._consumer: Consumer | None = None

    def bind(self) -> None:
        """Bind to the names that have a callback now; on any thread but the node's.

        Raises:
            ConfigurationError: if there are too many.
            ClosedError: if the node does not run.
        """
        bindings = self.patterns()
        self._node.run(self._bind_to(bindings))
        # within a callback, the binding waits for the callback's end
        if bindings and self._receive_from and not self._worker.is_current:
            self._node.run(self._joined())

    @property
    def parts(self) -> list[Part]:
        """Its sockets on the node."""
        return [] if self._consumer is None else [self._consumer]

    def patterns(self) -> tuple[str, ...]:
        """Return the bindings for the names that have a callback now.

        Raises:
            ConfigurationError: if there are too many.
        """
        names = list(self._receiving.callbacks)
        keys = [*names, *map(passing_key, names)] if self._receive_from else names
        return Bindings(map(exact, keys)).patterns if keys else ()

    async def _bind_to(self, bindings: tuple[str, ...]) -> None:
        def bind() -> None:
            if not bindings:
                if self._consumer is not None:
                    self._consumer.close()
                self._consumer = None
            elif self._consumer is not None:
                self._consumer.rebind(bindings)
            else:
                self._consumer = self._make(bindings)

        self._receiving.when_settled(bind)

    def _make(self, bindings: tuple[str, ...]) -> "Consumer":
        return self._node.add_consumer(
            GIVEN_TOPIC if self._receive_from else TOPIC,
            self._receiving.on_delivery,
            bindings=bindings,
            durable=False,
            connect=[self._receive_from] if self._receive_from else [],
        )

    async def _joined(self) -> None:
        """Return when the relay knows the bindings, or after the timeout."""
        if self._consumer is None:  # made when a callback has returned
            return
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._consumer.ready()
        except TimeoutError:
            self._node.logger.warning("the relay at %s does not answer yet", self._receive_from)

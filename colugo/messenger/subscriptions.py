"""What a messenger has told the streams that it wants to have."""

import asyncio
from typing import TYPE_CHECKING

from colugo.messenger.callback_thread import CallbackThread
from colugo.messenger.names import GIVEN_TOPIC, TOPIC, passing_key
from colugo.messenger.receiving import Receiving
from colugo.node import Node
from colugo.protocol.streams.bindings import Bindings, exact

if TYPE_CHECKING:
    from colugo.patterns.streams.consuming.consumer import Consumer


class Subscriptions:
    """The consumer of a messenger: a group of its own that is bound to the names with a callback.

    Args:
        node: the messenger's.
        receiving: has the callbacks.
        worker: calls them.
        hear_from: endpoint of the only stream to be heard; None for all that are discovered.
        timeout_s: how long to wait for that one, seconds.
    """

    def __init__(
        self,
        node: Node,
        receiving: Receiving,
        worker: CallbackThread,
        *,
        hear_from: str | None,
        timeout_s: float,
    ) -> None:
        self._node = node
        self._receiving = receiving
        self._worker = worker
        self._hear_from = hear_from
        self._timeout_s = timeout_s
        self._consumer: Consumer | None = None

    def bind(self) -> None:
        """Bind to the names that have a callback now; from any other thread than the node's.

        Raises:
            ConfigurationError: if they are too many.
            ClosedError: if the node does not run.
        """
        bindings = self.patterns()
        self._node.run(self._bind_to(bindings))
        if (
            bindings and self._hear_from and not self._worker.is_current
        ):  # there, it is not done before the end
            self._node.run(self._joined())

    def patterns(self) -> tuple[str, ...]:
        """The bindings for the names that have a callback now.

        Raises:
            ConfigurationError: if they are too many.
        """
        names = list(self._receiving.callbacks)
        keys = [*names, *map(passing_key, names)] if self._hear_from else names
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
            GIVEN_TOPIC if self._hear_from else TOPIC,
            self._receiving.on_delivery,
            bindings=bindings,
            durable=False,
            connect=[self._hear_from] if self._hear_from else [],
        )

    async def _joined(self) -> None:
        """Return when the relay knows what is wanted, so that what is sent now is heard; or later."""
        if self._consumer is None:  # it is made when a callback has returned
            return
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._consumer.ready()
        except TimeoutError:
            self._node.logger.warning("the relay at %s does not answer yet", self._hear_from)

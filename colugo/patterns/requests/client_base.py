"""The base of request clients and surveyors."""

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from threading import get_ident
from typing import Any, ClassVar, Generic, TypeVar

from colugo.net.runtime import Runtime
from colugo.patterns.base import Part, as_endpoints
from colugo.patterns.callbacks import optional_handler
from colugo.patterns.gate import Gate
from colugo.patterns.requests.server_links import SenderBase, ServerLinks
from colugo.protocol.advertisement import SocketKind
from colugo.protocol.codecs import resolve_codec
from colugo.protocol.description.socket_descriptions import RequestClientDescription
from colugo.protocol.topics import check_topic

S = TypeVar("S", bound=SenderBase)


class ClientBase(Part, Generic[S]):
    """The base of the request client and the surveyor.

    With `own`, it connects to servers of the same node, too; `connect` are endpoints of plain servers.
    """

    _kind: ClassVar[SocketKind]
    """The kind of socket to connect to."""
    _noun: ClassVar[str]
    """The name of this kind of part, for errors."""
    _description: ClassVar[type[RequestClientDescription]]

    def __init__(
        self,
        runtime: Runtime,
        topic: str,
        on_connect: Callable[..., Any] | None = None,
        *,
        codec: Any = None,
        on_disconnect: Callable[..., Any] | None = None,
        own: bool = True,
        connect: Iterable[str] = (),
    ) -> None:
        self.topic = check_topic(topic)
        super().__init__(runtime)
        label = f"the {self._noun} of {topic}"
        self._codec = resolve_codec(codec)
        self._limit = runtime.sockets.max_message_bytes
        self._gate = Gate(label)
        self._sender = self._make_sender(label)
        self._links = ServerLinks(
            runtime,
            self._kind,
            topic,
            as_endpoints(connect),
            self._sender,
            gate=self._gate,
            on_connect=optional_handler(runtime, on_connect, f"on_connect of {topic}", most=1),
            on_disconnect=optional_handler(runtime, on_disconnect, f"on_disconnect of {topic}", most=2),
            own=own,
        )
        runtime.when_open(self._open)

    @property
    def stats(self) -> object:
        """Counters so far."""
        raise NotImplementedError

    def describe(self) -> object:
        """Describe it for the node's description."""
        links = [link.describe() for link in self._links.all]
        return self._description.of(self.stats, topic=self.topic, codec=self._codec.name, links=links)

    async def ready(self, n: int = 1) -> None:
        """Return when n servers or respondents are connected.

        Args:
            n: the number of servers or respondents.

        Raises:
            ClosedError: if the node stops meanwhile.
            LifecycleError: on another thread than the node's; there, use `node.run(…)`.
        """
        self._check_thread()
        await self._gate.wait(n)

    def _make_sender(self, label: str) -> S:
        raise NotImplementedError

    def _open(self) -> None:
        self._sender.open(self._links)
        if not self._closed:
            self._links.open()

    def _shut(self) -> None:
        """Disconnect; requests in flight fail with `ClosedError` as the cause."""
        self._links.close()
        self._sender.close()

    def _on_callers_loop(self, function: Callable[..., None]) -> Callable[..., None]:
        """Return a function that the node's thread can call to run this one on the loop that runs now."""
        if get_ident() == self._runtime.owner:
            return function
        loop = asyncio.get_running_loop()

        def call(*args: Any) -> None:
            with suppress(RuntimeError):  # that loop is closed: nothing waits there any more
                loop.call_soon_threadsafe(function, *args)

        return call

    def _settlers(self, future: asyncio.Future[Any]) -> tuple[Callable[[Any], None], Callable[[Any], None]]:
        """Return functions with which the node's thread sets the result or error of a future."""

        def settle(method: Callable[[Any], None], value: Any) -> None:
            if not future.done():
                method(value)

        do = self._on_callers_loop(settle)
        return partial(do, future.set_result), partial(do, future.set_exception)

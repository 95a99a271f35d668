"""What asks servers or respondents, and waits for what they answer."""

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from threading import get_ident
from typing import Any, ClassVar

from colugo.errors import ClosedError, FrameError, RequestError
from colugo.net.runtime import Runtime
from colugo.net.transport.socket_reader import MoreToRead
from colugo.patterns.base import Part, ThrottledWarnings, as_endpoints
from colugo.patterns.callbacks import optional_handler
from colugo.patterns.gate import Gate
from colugo.patterns.requests.server_link import ServerLink
from colugo.patterns.requests.server_links import ServerLinks
from colugo.protocol.advertisement import Advertisement, SocketKind
from colugo.protocol.codecs import resolve_codec
from colugo.protocol.description.socket_descriptions import RequestClientDescription
from colugo.protocol.requests.calls import Call
from colugo.protocol.topics import check_topic


class ClientBase(Part):
    """The base of the request client and the surveyor, which open it when they are complete.

    Args:
        runtime: the node's.
        kind: what it asks: reply servers or respondents.
        topic: their topic.
        on_connect: the user's.
        noun: what it is, for errors.
        codec: for what is asked and answered.
        on_disconnect: the user's.
        own: whether those of the node itself are asked, too.
        connect: endpoints of plain ones.
    """

    _description: ClassVar[type[RequestClientDescription]]

    def __init__(
        self,
        runtime: Runtime,
        kind: SocketKind,
        topic: str,
        on_connect: Callable[..., Any] | None,
        *,
        noun: str,
        codec: Any,
        on_disconnect: Callable[..., Any] | None,
        own: bool = True,
        connect: Iterable[str] = (),
    ) -> None:
        self.topic = check_topic(topic)
        super().__init__(runtime)
        self._label = f"the {noun} of {topic}"
        self._codec = resolve_codec(codec)
        self._limit = runtime.sockets.max_message_bytes
        self._on_connect = optional_handler(runtime, on_connect, f"on_connect of {topic}", most=1)
        self._on_disconnect = optional_handler(runtime, on_disconnect, f"on_disconnect of {topic}", most=2)
        self._links = ServerLinks(
            runtime,
            kind,
            topic,
            as_endpoints(connect),
            own=own,
            on_change=self._number_changed,
            on_connected=self._connected,
            on_lost=self._lost_one,
            on_replies=self._on_replies,
            on_drained=self._flush,
            on_malformed=self._on_malformed,
        )
        self._opened = False
        self._gate = Gate(self._label)
        self._complaints = ThrottledWarnings(runtime)
        self._malformed = 0

    @property
    def stats(self) -> object:
        """Counters so far."""
        raise NotImplementedError

    async def ready(self, n: int = 1) -> None:
        """Return when n of those that it asks are connected.

        Args:
            n: how many servers or respondents.

        Raises:
            ClosedError: if the node stops meanwhile.
            LifecycleError: on another thread than the node's; there, use `node.run(…)`.
        """
        self._check_thread()
        await self._gate.wait(n)

    @property
    def _peers(self) -> list[Advertisement]:
        """Those that are connected now."""
        return [link.peer for link in self._links.connected]

    def describe(self) -> object:
        """Describe it for the node's description."""
        return self._description.of(
            self.stats,
            topic=self.topic,
            codec=self._codec.name,
            links=[link.describe() for link in self._links.all],
        )

    def _open(self) -> None:
        self._opened = True
        if not self._closed:
            self._links.open()

    def _shut(self) -> None:
        """Leave all; what waits for answers fails with `ClosedError` as the cause."""
        self._links.close()
        self._gate.close()

    def _closed_error(self) -> RequestError:
        """What those get who waited when it was closed."""
        error = RequestError(f"{self._label} was closed")
        error.__cause__ = ClosedError(f"the node {self._runtime.name!r} has been stopped")
        return error

    def _settlers(self, future: asyncio.Future[Any]) -> tuple[Callable[[Any], None], Callable[[Any], None]]:
        """What gives a future of the loop that runs now its result, or its error, from the node's thread."""

        def settle(method: Callable[[Any], None], value: Any) -> None:
            if not future.done():
                method(value)

        def settle_there(method: Callable[[Any], None], value: Any) -> None:
            with suppress(RuntimeError):  # that loop has been closed: nobody waits there any more
                future.get_loop().call_soon_threadsafe(settle, method, value)

        do = settle if get_ident() == self._runtime.owner else settle_there
        return partial(do, future.set_result), partial(do, future.set_exception)

    def _number_changed(self) -> None:
        """To be extended: more or fewer can be asked."""
        self._gate.set(len(self._links.connected))

    def _connected(self, link: ServerLink) -> None:
        if self._on_connect is not None:
            self._on_connect.run(link.peer)

    def _lost_one(self, link: ServerLink, reason: str) -> None:
        """To be extended: what it had been asked gets no answer."""
        if self._on_disconnect is not None:
            self._on_disconnect.run(link.peer, reason)

    def _on_replies(self, link: ServerLink, calls: list[Call]) -> MoreToRead | None:
        """To be overridden: take answers that arrived together, and return what is left to do."""
        raise NotImplementedError

    def _flush(self) -> None:
        """To be overridden: all answers that are there have been read."""

    def _decode_error(self, link: ServerLink, error: ValueError) -> RequestError:
        """What those get whose answer does not fit the codec."""
        failure = RequestError(f"the reply of {link.peer} does not decode: {error}")
        failure.__cause__ = error
        return failure

    def _on_malformed(self, link: ServerLink, error: FrameError) -> None:
        self._malformed += 1
        self._complaints.warn(link.endpoint, f"a reply of {link.peer} is malformed", error)

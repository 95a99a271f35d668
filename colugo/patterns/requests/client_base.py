"""The bases of request clients and surveyors, and of the senders that do their work."""

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from threading import get_ident
from typing import Any, ClassVar, Generic, TypeVar

from colugo.errors import ClosedError, RequestError
from colugo.net.runtime import Runtime
from colugo.patterns.base import Part, as_endpoints
from colugo.patterns.callbacks import optional_handler
from colugo.patterns.gate import Gate
from colugo.patterns.requests.server_link import ReplyListener, ServerLink
from colugo.patterns.requests.server_links import ServerLinks
from colugo.protocol.advertisement import Advertisement, SocketKind
from colugo.protocol.codecs import Codec, resolve_codec
from colugo.protocol.description.socket_descriptions import RequestClientDescription
from colugo.protocol.topics import check_topic


class SenderBase(ReplyListener):
    """The sending side of a request client or surveyor; on the node's thread only.

    Args:
        runtime: the node's runtime.
        topic: the topic.
        codec: the codec of replies.
        label: the owner's name, for errors.
    """

    def __init__(self, runtime: Runtime, topic: str, codec: Codec, label: str) -> None:
        self._runtime = runtime
        self._topic = topic
        self._codec = codec
        self._label = label
        self._links: ServerLinks
        self._opened = self._closed = False

    def open(self, links: ServerLinks) -> None:
        """Begin to send.

        Args:
            links: the links to the servers, which have this object as their listener.
        """
        self._links = links
        self._opened = True

    def close(self) -> None:
        """Send no more; extend it to fail what is pending."""
        self._closed = True

    def _closed_error(self) -> RequestError:
        """Return the error of a request that was pending when its client was closed."""
        error = RequestError(f"{self._label} was closed")
        error.__cause__ = ClosedError(f"the node {self._runtime.name!r} has been stopped")
        return error

    def _decode_error(self, link: ServerLink, error: ValueError) -> RequestError:
        """Return the error of a request whose reply does not fit the codec."""
        failure = RequestError(f"the reply of {link.peer} does not decode: {error}")
        failure.__cause__ = error
        return failure


S = TypeVar("S", bound=SenderBase)


class ClientBase(Part, Generic[S]):
    """The base of the request client and the surveyor.

    Args:
        runtime: the node's runtime.
        topic: the topic of the reply servers or respondents.
        make_sender: makes the sender of a topic, with a codec and a label for errors.
        codec: the codec of requests and replies.
        on_connect: the user's callback.
        on_disconnect: the user's callback.
        own: True to connect to servers of the same node, too.
        connect: endpoints of plain servers.
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
        make_sender: Callable[[Runtime, str, Codec, str], S],
        *,
        codec: Any,
        on_connect: Callable[..., Any] | None,
        on_disconnect: Callable[..., Any] | None,
        own: bool = True,
        connect: Iterable[str] = (),
    ) -> None:
        self.topic = check_topic(topic)
        super().__init__(runtime)
        label = f"the {self._noun} of {topic}"
        self._codec = resolve_codec(codec)
        self._limit = runtime.sockets.max_message_bytes
        self._gate = Gate(label)
        self._sender = make_sender(runtime, topic, self._codec, label)
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
        return self._description.of(
            self.stats,
            topic=self.topic,
            codec=self._codec.name,
            links=[link.describe() for link in self._links.all],
        )

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

    @property
    def _peers(self) -> list[Advertisement]:
        """The servers that are connected now."""
        return [link.peer for link in self._links.connected]

    def _open(self) -> None:
        self._sender.open(self._links)
        if not self._closed:
            self._links.open()

    def _shut(self) -> None:
        """Disconnect; requests in flight fail with `ClosedError` as the cause."""
        self._links.close()
        self._sender.close()

    def _settlers(self, future: asyncio.Future[Any]) -> tuple[Callable[[Any], None], Callable[[Any], None]]:
        """Return functions that set the result or error of a future, from the node's thread."""

        def settle(method: Callable[[Any], None], value: Any) -> None:
            if not future.done():
                method(value)

        def settle_there(method: Callable[[Any], None], value: Any) -> None:
            with suppress(RuntimeError):  # that loop is closed: nothing waits there any more
                future.get_loop().call_soon_threadsafe(settle, method, value)

        do = settle if get_ident() == self._runtime.owner else settle_there
        return partial(do, future.set_result), partial(do, future.set_exception)

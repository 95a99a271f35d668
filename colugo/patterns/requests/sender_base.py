"""The base of the senders of requests and surveys."""

from colugo.errors import ClosedError, RequestError
from colugo.net.runtime import Runtime
from colugo.net.transport.socket_reader import MoreToRead
from colugo.patterns.requests.server_link import ServerLink
from colugo.patterns.requests.server_links import ServerLinks
from colugo.protocol.codecs import Codec
from colugo.protocol.requests.calls import Call


class SenderBase:
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

    def on_usable_changed(self) -> None:
        """Override to act when more or fewer servers can be used."""

    def on_lost(self, link: ServerLink) -> None:
        """Override to fail the requests that a lost server has."""
        raise NotImplementedError

    def on_replies(self, link: ServerLink, calls: list[Call]) -> MoreToRead | None:
        """Override to take replies that arrived together, and return the rest of the work."""
        raise NotImplementedError

    def on_drained(self) -> None:
        """Override to act when no more replies are read for now."""

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

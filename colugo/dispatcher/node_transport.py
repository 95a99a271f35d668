"""The network side of a dispatcher: its producers are respondents, its requests are surveys."""

import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from colugo.config import NodeOptions
from colugo.dispatcher.mailbox import Mailbox
from colugo.dispatcher.open_requests import OpenRequests
from colugo.dispatcher.remote_request import RemoteRequest, SealedCodec
from colugo.dispatcher.request import Request
from colugo.dispatcher.topic_surveyor import DISCOVERY_MS, TopicSurveyor
from colugo.errors import ClosedError, ConfigurationError, DecodeError, EncodeError
from colugo.node import Node
from colugo.patterns.base import check_size
from colugo.patterns.requests.reply import Reply

if TYPE_CHECKING:
    from colugo.patterns.requests.respondent import Respondent


class NodeTransport:
    """Connects a dispatcher with those of other nodes.

    All calls are submitted to the node's thread, which makes them in order: no caller waits, and no lock is
    needed.

    Args:
        node: a node that runs or will run; or the name of the dispatcher's own.
        options: the options of its own node.

    Raises:
        ConfigurationError: if an argument cannot work.
    """

    def __init__(
        self, node: Node | str, codec: Any, open_requests: OpenRequests, options: NodeOptions
    ) -> None:
        self._codec = SealedCodec(codec)
        self._owns_node = isinstance(node, str)
        self.node = Node(node, **options) if isinstance(node, str) else node
        if not isinstance(self.node, Node):
            raise ConfigurationError(f"node= takes a Node, or the name of one, not {node!r}")
        self._submit = self.node.submit
        self._open_requests = open_requests
        self._surveyors: dict[str, TopicSurveyor] = {}
        self._respondents: dict[tuple[Mailbox[Any], str], Respondent] = {}
        self._discovering = True
        self._running = ExitStack()

    def open(self) -> None:
        """Start the node, if it is the dispatcher's own.

        Raises:
            BindError: if the node's port cannot be had.
            ClosedError: if the node has stopped.
        """
        if self._owns_node:
            self._running.enter_context(self.node.running())
        self._submit(self.node.add_delayed_callback, DISCOVERY_MS, self._on_discovery_over)

    def offer(self, mailbox: Mailbox[Any], topic: str) -> None:
        """Advertise a producer to other nodes."""
        self._submit(self._offer, mailbox, topic)

    def withdraw(self, mailbox: Mailbox[Any], topic: str) -> None:
        """Withdraw a producer; a no-op if the node has stopped."""
        if not self.node.closed:
            self._submit(self._withdraw, mailbox, topic)

    def connect(self, topic: str) -> None:
        """Connect to the producers of other nodes, before the first request."""
        self._submit(self._surveyor_of, topic)

    def seal(self, ttl: float, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bytes:
        """Encode a request.

        Raises:
            EncodeError: if the codec cannot take an argument.
            MessageTooLargeError: if the request is over the node's `max_message_bytes`.
        """
        try:
            sealed = self._codec.seal([ttl, args, kwargs])
        except EncodeError as error:
            why = error.__cause__ or error
            text = f"the arguments of a request cannot be sent with the codec {self._codec.name}: {why}"
            raise EncodeError(text) from error
        check_size(sealed, self.node.max_message_bytes)
        return sealed

    def ask(self, request: Request, sealed: bytes) -> None:
        """Begin a request, and ask the producers of other nodes, unless the node does not run yet.

        Raises:
            ClosedError: if the dispatcher or the node has been stopped.
        """
        if self.node.closed:
            raise ClosedError(f"the node {self.node.name!r} has been stopped")
        if not self.node.is_running:
            self._open_requests.begin(request)
            return
        request.left += 1
        request.surveyed = True
        self._open_requests.begin(request)
        self._submit(self._ask, request, sealed)

    def close(self) -> None:
        """Close all sockets; a second time is a no-op."""
        if not self.node.closed:
            self._submit(self._close)
        if self._owns_node:
            self.node.stop()

    def join(self) -> None:
        """Wait until the dispatcher's own node has stopped; on the node's thread, return at once."""
        if not self.node.on_own_thread():
            self._running.close()

    # --- on the node's thread

    def _on_discovery_over(self) -> None:
        self._discovering = False

    def _offer(self, mailbox: Mailbox[Any], topic: str) -> None:
        def serve(question: object, reply: Reply) -> None:
            self._serve(mailbox, topic, question, reply)

        if (mailbox, topic) not in self._respondents:
            self._respondents[mailbox, topic] = self.node.add_respondent(topic, serve, codec=self._codec)

    def _withdraw(self, mailbox: Mailbox[Any], topic: str) -> None:
        respondent = self._respondents.pop((mailbox, topic), None)
        if respondent is not None:
            respondent.close()

    def _serve(self, mailbox: Mailbox[Any], topic: str, question: object, reply: Reply) -> None:
        now = time.monotonic()
        try:
            request = RemoteRequest(
                self._open_requests, topic, question, now, mailbox=mailbox, reply=reply, codec=self._codec
            )
            self._open_requests.begin(request)
        except (ClosedError, DecodeError) as error:
            reply.error(error)
            return
        if not mailbox.put(request):
            request.failed(mailbox.owner, mailbox.refusal())

    def _surveyor_of(self, topic: str) -> TopicSurveyor:
        surveyor = self._surveyors.get(topic)
        if surveyor is None:
            surveyor = TopicSurveyor(
                self.node, topic, self._codec, self._open_requests, discovering=self._discovering
            )
            self._surveyors[topic] = surveyor
        return surveyor

    def _ask(self, request: Request, sealed: bytes) -> None:
        self._surveyor_of(request.topic).ask(request, sealed)

    def _close(self) -> None:
        for surveyor in self._surveyors.values():
            surveyor.close()
        for respondent in self._respondents.values():
            respondent.close()
        self._surveyors = {}
        self._respondents = {}

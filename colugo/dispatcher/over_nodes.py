"""A dispatcher's place on the network: its producers are respondents, its requests are surveys."""

import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from colugo.config import NodeOptions
from colugo.dispatcher.foreign import ForeignRequest
from colugo.dispatcher.mailbox import Mailbox
from colugo.dispatcher.open_requests import OpenRequests
from colugo.dispatcher.request import Request
from colugo.dispatcher.sealed import SealedCodec
from colugo.dispatcher.topic_surveyor import MEETING_MS, TopicSurveyor
from colugo.errors import ClosedError, ConfigurationError, DecodeError, EncodeError
from colugo.node import Node
from colugo.patterns.base import check_size
from colugo.patterns.requests.reply import Reply

if TYPE_CHECKING:
    from colugo.patterns.requests.respondent import Respondent


class NodeTransport:
    """Hands everything over to the node's thread, which does it in order.

    So no caller waits, and no lock is needed.

    Args:
        node: may run, or begin to later; or the name of one of its own.
        codec: of requests and results.
        ledger: keeps requests, those from elsewhere, too.

    Attributes:
        node: the node.

    Raises:
        ConfigurationError: if one of them cannot work.
    """

    def __init__(self, node: Node | str, codec: Any, ledger: OpenRequests, options: NodeOptions) -> None:
        self._codec = SealedCodec(codec)
        self._own = isinstance(node, str)
        self.node = Node(node, **options) if isinstance(node, str) else node
        if not isinstance(self.node, Node):
            raise ConfigurationError(f"node= takes a Node or the name of one, not {node!r}")
        self._submit = self.node.submit
        self._ledger = ledger
        self._askers: dict[str, TopicSurveyor] = {}
        self._respondents: dict[tuple[Mailbox[Any], str], Respondent] = {}
        self._fresh = True
        self._running = ExitStack()

    def open(self) -> None:
        """Start the node, if it is its own.

        Raises:
            BindError: if the node's port cannot be had.
            ClosedError: if the node has stopped.
        """
        if self._own:
            self._running.enter_context(self.node.running())
        self._submit(self._open)

    def offer(self, mailbox: Mailbox[Any], topic: str) -> None:
        """Let other nodes ask a producer.

        Raises:
            ClosedError: if the node has stopped.
        """
        self._submit(self._offer, mailbox, topic)

    def withdraw(self, mailbox: Mailbox[Any], topic: str) -> None:
        """Take it back; if the node has stopped, that is done already."""
        if not self.closed:
            self._submit(self._withdraw, mailbox, topic)

    def meet(self, topic: str) -> None:
        """Connect to the producers of other nodes before they are asked.

        Raises:
            ClosedError: if the node has stopped.
        """
        self._submit(self._asker, topic)

    def seal(self, ttl: float, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bytes:
        """Encode a request.

        Raises:
            EncodeError: if the codec cannot take an argument.
            MessageTooLargeError: if it is over the node's `max_message_bytes`.
        """
        try:
            sealed = self._codec.seal([ttl, args, kwargs])
        except EncodeError as error:
            why = error.__cause__ or error
            raise EncodeError(
                f"the arguments of a request cannot be sent with the codec {self._codec.name}: {why}"
            ) from error
        check_size(sealed, self.node.max_message_bytes)
        return sealed

    def ask(self, request: Request, sealed: bytes) -> None:
        """Begin a request, and ask the producers of other nodes, unless the node does not run yet.

        Raises:
            ClosedError: if the dispatcher or the node has been stopped.
        """
        if self.closed:
            raise ClosedError(f"the node {self.node.name!r} has been stopped")
        if not self.node.is_running:
            self._ledger.begin(request)
            return
        request.left += 1
        request.surveyed = True
        self._ledger.begin(request)
        self._submit(self._ask, request, sealed)

    def close(self) -> None:
        """Close all; a second time is a no-op."""
        if not self.closed:
            self._submit(self._close)
        if self._own:
            self.node.stop()

    def join(self) -> None:
        """Wait until the node has stopped, if it is its own; its thread does not wait for itself."""
        if not self.node.on_own_thread():
            self._running.close()

    @property
    def closed(self) -> bool:
        """Whether the node has stopped."""
        return self.node.closed

    # --- on the node's thread

    def _open(self) -> None:
        self.node.add_delayed_callback(MEETING_MS, self._settled)

    def _settled(self) -> None:
        self._fresh = False

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
            request = ForeignRequest(
                self._ledger, topic, question, now, mailbox=mailbox, reply=reply, codec=self._codec
            )
            self._ledger.begin(request)
        except (ClosedError, DecodeError) as error:
            reply.error(error)
            return
        if not mailbox.put(request):
            request.failed(mailbox.owner, mailbox.refusal())

    def _asker(self, topic: str) -> TopicSurveyor:
        asker = self._askers.get(topic)
        if asker is None:
            asker = TopicSurveyor(self.node, topic, self._codec, self._ledger, fresh=self._fresh)
            self._askers[topic] = asker
        return asker

    def _ask(self, request: Request, sealed: bytes) -> None:
        self._asker(request.topic).ask(request, sealed)

    def _close(self) -> None:
        for asker in self._askers.values():
            asker.close()
        for respondent in self._respondents.values():
            respondent.close()
        self._askers = {}
        self._respondents = {}

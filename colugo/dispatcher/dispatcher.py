"""The dispatcher: registration, sending, start and stop."""

import threading
import time
from typing import Any, Unpack

from colugo.config import NodeOptions
from colugo.dispatcher.listener import ResultListener
from colugo.dispatcher.mailbox import Mailbox
from colugo.dispatcher.node_transport import NodeTransport
from colugo.dispatcher.open_requests import DispatcherStats, OpenRequests
from colugo.dispatcher.producer import Producer
from colugo.dispatcher.registrations import Registrations, check_kind
from colugo.dispatcher.request import LONGEST_TTL_MS, Request, check_text, check_ttl
from colugo.dispatcher.worker import Worker, join_all, mailbox_of
from colugo.errors import ClosedError, ConfigurationError, FlowError, LifecycleError
from colugo.node import Node
from colugo.protocol.topics import check_topic

DEFAULT_TTL_MS = 5000
DEFAULT_STOP_MS = 5000
_MOST_EARLY = 100_000

Sending = tuple[str, tuple[Any, ...], dict[str, Any], float, bytes | None]
"""The topic, arguments and ttl of a request, and their encoding for other nodes."""


class ATEDispatcher(threading.Thread):
    """Delivers requests to the producers of a topic, and their results to its listeners.

    Without a node, both are within the process. With one, requests reach the producers of all dispatchers of
    its realm; the rest of the program stays the same.

    You may call all methods from any thread, also within a producer or listener. Only `stop` waits for user
    code.

    Args:
        node: a `Node` that you run, and that is not stopped with the dispatcher; or the name of one that is
            started and stopped with it, on its own thread. A node can have one dispatcher.
        codec: with a node, the codec of arguments and results: `"msgpack"`, `"json"`, `"cbor"`, `"pickle"`
            (lets every node of the realm run code in this process), or a `Codec` of your own. The same on all
            nodes.
        name: the name of its thread, which is the clock; None for one made of the class's name.
        daemon: as for any thread.
        **options: with the name of a node, more options of it: those of `Node`.

    Raises:
        ConfigurationError: if a value cannot work, or options are given without the name of a node.
    """

    def __init__(
        self,
        *,
        node: Node | str | None = None,
        codec: Any = "msgpack",
        name: str | None = None,
        daemon: bool | None = None,
        **options: Unpack[NodeOptions],
    ) -> None:
        super().__init__(name=name, daemon=daemon)
        if name is None:
            self.name = f"{type(self).__name__} {self.name.rpartition('-')[2]}"
        self._open_requests = OpenRequests()
        self._registered = Registrations()
        if options and not isinstance(node, str):
            given = ", ".join(f"{one}=" for one in options)
            raise ConfigurationError(f"{given} needs node= with the name of a node, not {node!r}")
        self._transport = None if node is None else NodeTransport(node, codec, self._open_requests, options)
        self._early: list[Sending] | None = []
        """The requests that wait for the start."""
        self._members: list[Worker] = []
        """The workers that it has stopped."""
        self._stopping = False

    @property
    def node(self) -> Node | None:
        """The node; None without one."""
        return None if self._transport is None else self._transport.node

    @property
    def stats(self) -> DispatcherStats:
        """The counters so far."""
        return self._open_requests.stats(dropped=self._registered.audiences.dropped)

    # --- registering

    def register_result_producer(self, producer: Producer, topic: str) -> None:
        """Send the requests of a topic to a producer; a second time is a no-op.

        A producer that has not been started answers when it is; requests that have expired by then are
        dropped.

        Args:
            producer: the producer, which may be registered for several topics, and with several dispatchers.
            topic: any str; with a node, a topic by the rules of the network.

        Raises:
            ConfigurationError: if the object is no producer.
            TopicError: if the topic breaks the rules.
            LifecycleError: if the producer's class does not call the constructor of its base.
            ClosedError: if the producer or the dispatcher has been stopped.
        """
        mailbox = self._check(producer, Producer, topic)
        with self._registered.lock:
            self._check_open()
            self._registered.add_producer(mailbox, topic)
            if self._transport is not None and self._early is None:
                self._transport.offer(mailbox, topic)

    def deregister_result_producer(self, producer: Producer, topic: str) -> None:
        """Send a producer no more requests of a topic; it still answers those that it has.

        Args:
            producer: the producer; if it is not registered for the topic, this is a no-op.
            topic: the topic that it was registered for.

        Raises:
            ConfigurationError: if the object is no producer.
            TopicError: if the topic is no str.
        """
        check_kind(producer, Producer)
        check_text(topic)
        with self._registered.lock:
            mailbox = self._registered.remove_producer(producer, topic)
            if self._transport is not None and mailbox is not None:
                self._transport.withdraw(mailbox, topic)

    def register_result_listener(self, listener: ResultListener, topic: str) -> None:
        """Deliver the results of a topic to a listener from now on; a second time is a no-op.

        Args:
            listener: the listener, which may be registered for several topics, and with several dispatchers.
                If it has not been started, results wait until it is.
            topic: any str; with a node, a topic by the rules of the network.

        Raises:
            ConfigurationError: if the object is no listener.
            TopicError: if the topic breaks the rules.
            LifecycleError: if the listener's class does not call the constructor of its base.
            ClosedError: if the listener or the dispatcher has been stopped.
        """
        self._check(listener, ResultListener, topic)
        with self._registered.lock:
            self._check_open()
            self._registered.add_listener(listener, topic)
            if self._transport is not None and self._early is None:
                self._transport.connect(topic)

    def deregister_result_listener(self, listener: ResultListener, topic: str) -> None:
        """Deliver no more results of a topic to a listener; it still handles those that it has.

        Args:
            listener: the listener; if it is not registered for the topic, this is a no-op.
            topic: the topic that it was registered for.

        Raises:
            ConfigurationError: if it is no listener.
            TopicError: if the topic is no str.
        """
        check_kind(listener, ResultListener)
        check_text(topic)
        with self._registered.lock:
            self._registered.remove_listener(listener, topic)

    # --- sending

    def send_request(self, topic: str, *args: Any, ttl: float = DEFAULT_TTL_MS, **kwargs: Any) -> None:
        """Send a request to all producers of a topic, and return; the topic's listeners get the results.

        A request is over when all have answered, or at its ttl; without a producer, immediately.

        Args:
            topic: the topic; it need not have a producer or listener.
            *args: positional arguments for the producers; each gets the same objects.
            ttl: milliseconds from now in which answers count, or from the start of the dispatcher if it has
                not been started; later ones are dropped and counted. At most ten years.
            **kwargs: keyword arguments for the producers, except `topic` and `ttl`.

        Raises:
            ConfigurationError: if the ttl is not a number above 0.
            TopicError: if the topic breaks the rules.
            EncodeError: with a node, if its codec cannot take the arguments.
            MessageTooLargeError: with a node, if the request is over its `max_message_bytes`.
            FlowError: if 100,000 requests wait for the start of the dispatcher already.
            ClosedError: if the dispatcher has been stopped.
        """
        if ttl.__class__ is not int or not 0 < ttl <= LONGEST_TTL_MS:
            ttl = check_ttl(ttl)
        if topic.__class__ is not str or self._transport is not None:
            self._check_topic(topic)
        sealed = None if self._transport is None else self._transport.seal(ttl, args, kwargs)
        if self._early is None or not self._wait_for_start((topic, args, kwargs, ttl, sealed)):
            self._send(topic, args, kwargs, ttl, sealed)

    def _wait_for_start(self, sending: Sending) -> bool:
        """Keep a request for the start; return False if the dispatcher has been started meanwhile."""
        with self._registered.lock:
            self._check_open()
            if self._early is None:
                return False
            if len(self._early) >= _MOST_EARLY:
                raise FlowError(f"{_MOST_EARLY} requests wait for start() of the dispatcher already")
            self._early.append(sending)
            return True

    def _send(
        self, topic: str, args: tuple[Any, ...], kwargs: dict[str, Any], ttl: float, sealed: bytes | None
    ) -> None:
        registered = self._registered
        mailboxes = registered.producers.get(topic, ())
        deadline = time.monotonic() + ttl / 1000
        request = Request(
            self._open_requests, registered.audiences, topic, args, kwargs, ttl, deadline, mailboxes
        )
        if sealed is not None and self._transport is not None:
            self._transport.ask(request, sealed)
        else:
            self._open_requests.begin(request)
        for mailbox in mailboxes:
            if not mailbox.put(request):
                request.failed(mailbox.owner, mailbox.refusal())

    # --- start and stop

    def start(self) -> None:
        """Start the dispatcher, and send the requests that wait for that.

        Raises:
            LifecycleError: if it has been started before.
            ClosedError: if it has been stopped.
        """
        with self._registered.starting:
            self._check_open()
            if self.ident is not None:
                raise LifecycleError(f"{self.name!r} has been started already")
            if self._transport is not None:
                self._transport.open()
            with self._registered.lock:
                self._check_open()  # the node's start takes time
                if self._transport is not None:
                    self._announce(self._transport)
                super().start()
                for sending in self._early or ():
                    self._send(*sending)
                self._early = None

    def _announce(self, transport: NodeTransport) -> None:
        for topic, mailboxes in self._registered.producers.items():
            for mailbox in mailboxes:
                transport.offer(mailbox, topic)
        for topic in self._registered.audiences.by_topic:
            transport.connect(topic)

    def run(self) -> None:
        """End requests at their deadlines; called by `start`."""
        self._open_requests.keep_time()

    def stop(self, timeout_ms: float = DEFAULT_STOP_MS) -> list[threading.Thread]:
        """Stop, with all producers and listeners that are registered, and wait for their threads to end.

        Producers finish their current requests and begin no more. Pending requests end, and listeners handle
        the results that they have. You may call it from any thread, before the start, and more than once. It
        does not wait for the calling thread; within a producer or listener, only the first call waits.

        Args:
            timeout_ms: the longest time to wait, in milliseconds.

        Returns:
            The threads that still run then, which the log names, too; they end when the user code that they
            run returns.
        """
        with self._registered.lock:
            first, self._stopping = not self._stopping, True
            if first:
                self._close()
        threads = [self, *(thread for member in self._members for thread in member.threads)]
        if threading.current_thread() in threads and not first:
            return []
        still = join_all(threads, timeout_ms, self.name)
        if self._transport is not None:
            self._transport.join()
        return still

    def _close(self) -> None:
        producers, listeners = self._registered.take_all()
        for mailbox in producers:
            mailbox.close()
            mailbox.clear()
        self._open_requests.close()  # delivers the summaries to the listeners
        self._registered.audiences.by_topic = {}
        for listener in listeners:
            mailbox_of(listener).close()  # its stop() may be user code, and the lock is held
        self._members = [*(one.owner for one in producers if isinstance(one.owner, Worker)), *listeners]
        self._early = None
        if self._transport is not None:
            self._transport.close()

    def _check(self, member: Worker, kind: type[Worker], topic: str) -> Mailbox[Any]:
        check_kind(member, kind)
        self._check_topic(topic)
        mailbox = mailbox_of(member)
        if mailbox.closed:
            raise ClosedError(f"{member.name!r} has been stopped; make a new one")
        return mailbox

    def _check_topic(self, topic: str) -> None:
        (check_text if self._transport is None else check_topic)(topic)

    def _check_open(self) -> None:
        if self._stopping:
            raise ClosedError(f"{self.name!r} has been stopped; make a new one")

"""The dispatcher: who is registered, what is sent, start and stop."""

import threading
import time
from typing import Any, Unpack

from colugo.config import NodeOptions
from colugo.dispatcher.checks import LONGEST_TTL_MS, check_kind, check_text, check_ttl
from colugo.dispatcher.dispatcher_stats import DispatcherStats
from colugo.dispatcher.early import EarlyRequests
from colugo.dispatcher.listener import ResultListener
from colugo.dispatcher.mailbox import Mailbox
from colugo.dispatcher.open_requests import OpenRequests
from colugo.dispatcher.over_nodes import NodeTransport
from colugo.dispatcher.producer import Producer
from colugo.dispatcher.registrations import Registrations
from colugo.dispatcher.request import Request
from colugo.dispatcher.thread_joining import join_all
from colugo.dispatcher.worker import Worker, mailbox_of
from colugo.errors import ClosedError, ConfigurationError, LifecycleError
from colugo.node import Node
from colugo.protocol.topics import check_topic

DEFAULT_TTL_MS = 5000
DEFAULT_STOP_MS = 5000


class ATEDispatcher(threading.Thread):
    """Hands requests to the producers of a topic, and their results to its listeners.

    Without a node, all of this is within the process. With one, requests reach the producers of all
    dispatchers of its realm, and the program stays the same.

    All methods may be called from any thread, also from within a producer or listener. None of them waits
    for user code, but for `stop`.

    Args:
        node: a `Node`, which runs elsewhere and is not stopped with the dispatcher; or the name of one that
            is started and stopped with it, on a thread of its own. A node is for one dispatcher.
        codec: with a node, of arguments and results: `"msgpack"`, `"json"`, `"cbor"`, `"pickle"` (lets every
            node of the realm run code in this process), or a `Codec` of your own. The same on all nodes.
        name: of the thread that keeps the time; None for one made of the class's name.
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
        self._ledger = OpenRequests()
        self._registered = Registrations()
        if options and not isinstance(node, str):
            given = ", ".join(f"{one}=" for one in options)
            raise ConfigurationError(f"{given} needs node= with the name of a node, not {node!r}")
        self._network = None if node is None else NodeTransport(node, codec, self._ledger, options)
        self._early: EarlyRequests | None = EarlyRequests()
        self._members: list[Worker] = []
        """Who is stopped with it, once `stop` has begun."""
        self._stopping = False

    @property
    def node(self) -> Node | None:
        """The node; None within a process."""
        return None if self._network is None else self._network.node

    @property
    def stats(self) -> DispatcherStats:
        """Counters so far."""
        return self._ledger.stats(dropped=self._registered.audiences.dropped)

    # --- registering

    def register_result_producer(self, producer: Producer, topic: str) -> None:
        """Let a producer answer the requests of a topic; a second time is a no-op.

        One that has not been started answers when it is; what has waited past its ttl by then is gone.

        Args:
            producer: may be registered for several topics, and with several dispatchers.
            topic: any str; with a node, what is a topic on the network.

        Raises:
            ConfigurationError: if it is no producer.
            TopicError: if the topic breaks the rules.
            LifecycleError: if the producer's class does not call the constructor of its base.
            ClosedError: if the producer or the dispatcher has been stopped.
        """
        mailbox = self._check(producer, Producer, topic)
        with self._registered.lock:
            self._check_open()
            self._registered.add_producer(mailbox, topic)
            if self._network is not None and self._early is None:
                self._network.offer(mailbox, topic)

    def deregister_result_producer(self, producer: Producer, topic: str) -> None:
        """Ask a producer no more for a topic; what it has been asked, it still answers.

        Args:
            producer: if it is not registered for the topic, this is a no-op.
            topic: the same as when it was registered.

        Raises:
            ConfigurationError: if it is no producer.
            TopicError: if the topic is no str.
        """
        check_kind(producer, Producer)
        check_text(topic)
        with self._registered.lock:
            mailbox = self._registered.remove_producer(producer, topic)
            if self._network is not None and mailbox is not None:
                self._network.withdraw(mailbox, topic)

    def register_result_listener(self, listener: ResultListener, topic: str) -> None:
        """Let a listener have the results of a topic from now on; a second time is a no-op.

        Args:
            listener: may be registered for several topics, and with several dispatchers. One that has not
                been started gets what has waited when it is.
            topic: any str; with a node, what is a topic on the network.

        Raises:
            ConfigurationError: if it is no listener.
            TopicError: if the topic breaks the rules.
            LifecycleError: if the listener's class does not call the constructor of its base.
            ClosedError: if the listener or the dispatcher has been stopped.
        """
        self._check(listener, ResultListener, topic)
        with self._registered.lock:
            self._check_open()
            self._registered.add_listener(listener, topic)
            if self._network is not None and self._early is None:
                self._network.meet(topic)

    def deregister_result_listener(self, listener: ResultListener, topic: str) -> None:
        """Let a listener have no more of a topic than it has been given already.

        Args:
            listener: if it is not registered for the topic, this is a no-op.
            topic: the same as when it was registered.

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
        """Ask all producers of a topic; returns at once, and the results go to the topic's listeners.

        A request is over when all have answered, or at the ttl; with no producer, at once.

        Args:
            topic: one without a producer or listener is no error.
            *args: for the producers, the same objects for each.
            ttl: milliseconds in which answers count, from now, or from the start of the dispatcher if it
                has not been started; what comes later is dropped and counted. Beyond ten years: ten years.
            **kwargs: for the producers, any but `topic` and `ttl`.

        Raises:
            ConfigurationError: if the ttl is not a number above 0.
            TopicError: if the topic breaks the rules.
            EncodeError: with a node, if its codec cannot take the arguments.
            MessageTooLargeError: with a node, if they are over its `max_message_bytes`.
            FlowError: if 100,000 requests wait for the start of the dispatcher already.
            ClosedError: if the dispatcher has been stopped.
        """
        if ttl.__class__ is not int or not 0 < ttl <= LONGEST_TTL_MS:
            ttl = check_ttl(ttl)
        if topic.__class__ is not str or self._network is not None:
            self._check_topic(topic)
        sealed = None if self._network is None else self._network.seal(ttl, args, kwargs)
        if self._early is None or not self._wait_for_start(topic, args, kwargs, ttl, sealed):
            self._send(topic, args, kwargs, ttl, sealed)

    def _wait_for_start(self, *sending: Any) -> bool:
        """Keep a request for later; False if the dispatcher has been started meanwhile."""
        with self._registered.lock:
            self._check_open()
            if self._early is None:
                return False
            self._early.add(*sending)
            return True

    def _send(
        self, topic: str, args: tuple[Any, ...], kwargs: dict[str, Any], ttl: float, sealed: bytes | None
    ) -> None:
        registered = self._registered
        mailboxes = registered.producers.get(topic, ())
        deadline = time.monotonic() + ttl / 1000
        request = Request(self._ledger, registered.audiences, topic, args, kwargs, ttl, deadline, mailboxes)
        if sealed is not None and self._network is not None:
            self._network.ask(request, sealed)
        else:
            self._ledger.begin(request)
        for mailbox in mailboxes:
            if not mailbox.put(request):
                request.failed(mailbox.owner, mailbox.refusal())

    # --- start and stop

    def start(self) -> None:
        """Begin; requests that were sent before are begun now.

        Raises:
            LifecycleError: if it has been started before.
            ClosedError: if it has been stopped.
        """
        with self._registered.starting:
            self._check_open()
            if self.ident is not None:
                raise LifecycleError(f"{self.name!r} has been started already")
            if self._network is not None:
                self._network.open()
            with self._registered.lock:
                self._check_open()  # it may have been stopped meanwhile
                if self._network is not None:
                    self._announce(self._network)
                super().start()
                for sending in self._early or ():
                    self._send(*sending)
                self._early = None

    def _announce(self, network: NodeTransport) -> None:
        for topic, mailboxes in self._registered.producers.items():
            for mailbox in mailboxes:
                network.offer(mailbox, topic)
        for topic in self._registered.audiences.by_topic:
            network.meet(topic)

    def run(self) -> None:
        """Keep the time; called by `start`."""
        self._ledger.keep_time()

    def stop(self, timeout_ms: float = DEFAULT_STOP_MS) -> list[threading.Thread]:
        """Stop, with all producers and listeners that are registered, and wait for their threads to end.

        Producers finish what they are working on and begin nothing more. Requests that are not over end,
        and listeners still handle what they have been given. May be called from any thread, before the
        start and more than once; it does not wait for the thread that calls it, and from within a producer
        or listener, only the first call waits.

        Args:
            timeout_ms: milliseconds to wait at most.

        Returns:
            The threads that still run then, which the log names too; they end when the user code that they
            are in returns.
        """
        with self._registered.lock:
            first, self._stopping = not self._stopping, True
            if first:
                self._close()
        threads = [self, *(thread for member in self._members for thread in member.threads)]
        if threading.current_thread() in threads and not first:
            return []
        still = join_all(threads, timeout_ms, self.name)
        if self._network is not None:
            self._network.join()
        return still

    def _close(self) -> None:
        producers, listeners = self._registered.take_all()
        for mailbox in producers:
            mailbox.close()
            mailbox.clear()
        self._ledger.close()  # tells the listeners what their requests have come to
        self._registered.audiences.by_topic = {}
        for listener in listeners:
            mailbox_of(listener).close()  # not its stop(), which may be user code: the lock is held
        self._members = [*(one.owner for one in producers if isinstance(one.owner, Worker)), *listeners]
        self._early = None
        if self._network is not None:
            self._network.close()

    def _check(self, member: Worker, kind: type[Worker], topic: str) -> Mailbox[Any]:
        check_kind(member, kind)
        self._check_topic(topic)
        mailbox = mailbox_of(member)
        if mailbox.closed:
            raise ClosedError(f"{member.name!r} has been stopped; make a new one")
        return mailbox

    def _check_topic(self, topic: str) -> None:
        (check_text if self._network is None else check_topic)(topic)

    def _check_open(self) -> None:
        if self._stopping:
            raise ClosedError(f"{self.name!r} has been stopped; make a new one")

"""The dispatcher: who is registered, what is sent, start and stop."""

import logging
import math
import threading
import time
from dataclasses import dataclass
from typing import Any

from colugo.dispatcher.audience import Audiences, audience_of
from colugo.dispatcher.ledger import Ledger
from colugo.dispatcher.listener import ResultListener
from colugo.dispatcher.mailbox import Mailbox
from colugo.dispatcher.producer import Producer
from colugo.dispatcher.request import Request
from colugo.dispatcher.worker import Worker, mailbox_of
from colugo.errors import ClosedError, ConfigurationError, FlowError, LifecycleError, TopicError

DEFAULT_TTL_MS = 5000
DEFAULT_STOP_MS = 5000

_MOST_EARLY = 100_000
_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class DispatcherStats:
    """What a dispatcher has done.

    Attributes:
        requests: requests begun.
        results: results in time.
        errors: producers that raised, or could not take a request.
        silent: producers that did not answer in time.
        late: answers that came after the ttl, and were dropped.
        dropped: what listeners could not take: they had been stopped, or were too far behind.
        pending: requests that are not over yet.
    """

    requests: int
    results: int
    errors: int
    silent: int
    late: int
    dropped: int
    pending: int


class ATEDispatcher(threading.Thread):
    """Hands requests to the producers of a topic, and their results to its listeners.

    All methods may be called from any thread, also from within a producer or listener. None of them waits
    for user code, but for `stop`.

    Args:
        name: of the thread that keeps the time; None for one made of the class's name.
        daemon: as for any thread.
    """

    def __init__(self, *, name: str | None = None, daemon: bool | None = None) -> None:
        super().__init__(name=name, daemon=daemon)
        if name is None:
            self.name = f"{type(self).__name__} {self.name.rpartition('-')[2]}"
        self._ledger = Ledger()
        self._audiences = Audiences()
        self._producers: dict[str, tuple[Mailbox[Any], ...]] = {}
        self._registering = threading.RLock()  # a signal handler may call stop() within a registration
        self._early: list[tuple[str, tuple[Any, ...], float, dict[str, Any]]] | None = []
        self._members: list[Worker] = []
        """Who is stopped with it, once `stop` has begun."""
        self._stopping = False

    @property
    def stats(self) -> DispatcherStats:
        """Counters so far."""
        ledger = self._ledger
        return DispatcherStats(
            requests=ledger.requests,
            results=ledger.results,
            errors=ledger.errors,
            silent=ledger.silent,
            late=ledger.late,
            dropped=self._audiences.dropped,
            pending=len(ledger),
        )

    # --- registering

    def register_result_producer(self, producer: Producer, topic: str) -> None:
        """Let a producer answer the requests of a topic; a second time is a no-op.

        One that has not been started answers when it is; what has waited past its ttl by then is gone.

        Args:
            producer: may be registered for several topics, and with several dispatchers.
            topic: any str.

        Raises:
            ConfigurationError: if it is no producer.
            TopicError: if the topic is no str.
            LifecycleError: if the producer's class does not call the constructor of its base.
            ClosedError: if the producer or the dispatcher has been stopped.
        """
        mailbox = self._check(producer, Producer, topic)
        with self._registering:
            self._check_open()
            before = self._producers.get(topic, ())
            if mailbox not in before:
                self._producers[topic] = (*before, mailbox)

    def deregister_result_producer(self, producer: Producer, topic: str) -> None:
        """Ask a producer no more for a topic; what it has been asked, it still answers.

        Args:
            producer: if it is not registered for the topic, this is a no-op.
            topic: the same as when it was registered.

        Raises:
            ConfigurationError: if it is no producer.
            TopicError: if the topic is no str.
        """
        _check_kind(producer, Producer)
        _check_topic(topic)
        with self._registering:
            left = tuple(one for one in self._producers.get(topic, ()) if one.owner is not producer)
            if left:
                self._producers[topic] = left
            else:
                self._producers.pop(topic, None)

    def register_result_listener(self, listener: ResultListener, topic: str) -> None:
        """Let a listener have the results of a topic from now on; a second time is a no-op.

        Args:
            listener: may be registered for several topics, and with several dispatchers. One that has not
                been started gets what has waited when it is.
            topic: any str.

        Raises:
            ConfigurationError: if it is no listener.
            TopicError: if the topic is no str.
            LifecycleError: if the listener's class does not call the constructor of its base.
            ClosedError: if the listener or the dispatcher has been stopped.
        """
        self._check(listener, ResultListener, topic)
        with self._registering:
            self._check_open()
            before = self._audiences.of(topic).listeners
            if not any(one is listener for one in before):
                self._audiences.by_topic[topic] = audience_of((*before, listener))

    def deregister_result_listener(self, listener: ResultListener, topic: str) -> None:
        """Let a listener have no more of a topic than it has been given already.

        Args:
            listener: if it is not registered for the topic, this is a no-op.
            topic: the same as when it was registered.

        Raises:
            ConfigurationError: if it is no listener.
            TopicError: if the topic is no str.
        """
        _check_kind(listener, ResultListener)
        _check_topic(topic)
        with self._registering:
            left = tuple(one for one in self._audiences.of(topic).listeners if one is not listener)
            if left:
                self._audiences.by_topic[topic] = audience_of(left)
            else:
                self._audiences.by_topic.pop(topic, None)

    # --- sending

    def send_request(self, topic: str, *args: Any, ttl: float = DEFAULT_TTL_MS, **kwargs: Any) -> None:
        """Ask all producers of a topic; returns at once, and the results go to the topic's listeners.

        A request is over when all have answered, or at the ttl; with no producer, at once.

        Args:
            topic: one without a producer or listener is no error.
            *args: for the producers, the same objects for each.
            ttl: milliseconds in which answers count, from now, or from the start of the dispatcher if it
                has not been started; what comes later is dropped and counted.
            **kwargs: for the producers, any but `topic` and `ttl`.

        Raises:
            ConfigurationError: if the ttl is not a number above 0.
            TopicError: if the topic is no str.
            FlowError: if 100,000 requests wait for the start of the dispatcher already.
            ClosedError: if the dispatcher has been stopped.
        """
        if ttl.__class__ is not int or ttl <= 0:
            check_ttl(ttl)
        if self._early is not None and self._wait_for_start(topic, args, ttl, kwargs):
            return
        self._send(topic, args, ttl, kwargs)

    def _wait_for_start(self, topic: str, args: tuple[Any, ...], ttl: float, kwargs: dict[str, Any]) -> bool:
        """Keep a request for later; False if the dispatcher has been started meanwhile."""
        _check_topic(topic)
        with self._registering:
            if self._early is None:
                return False
            self._check_open()
            if len(self._early) >= _MOST_EARLY:
                raise FlowError(f"{_MOST_EARLY} requests wait for start() of {self.name!r} already")
            self._early.append((topic, args, ttl, kwargs))
            return True

    def _send(self, topic: str, args: tuple[Any, ...], ttl: float, kwargs: dict[str, Any]) -> None:
        if topic.__class__ is not str:
            _check_topic(topic)
        mailboxes = self._producers.get(topic, ())
        deadline = time.monotonic() + ttl / 1000
        request = Request(self._ledger, self._audiences, topic, args, kwargs, ttl, deadline, mailboxes)
        self._ledger.begin(request)
        for mailbox in mailboxes:
            if not mailbox.put(request):
                request.failed(mailbox.owner, refusal(mailbox))

    # --- start and stop

    def start(self) -> None:
        """Begin; requests that were sent before are begun now.

        Raises:
            LifecycleError: if it has been started before.
            ClosedError: if it has been stopped.
        """
        with self._registering:
            self._check_open()
            if self.ident is not None:
                raise LifecycleError(f"{self.name!r} has been started already")
            super().start()
            for topic, args, ttl, kwargs in self._early or ():
                self._send(topic, args, ttl, kwargs)
            self._early = None

    def run(self) -> None:
        """Keep the time; called by `start`."""
        self._ledger.keep_time()

    def stop(self, timeout_ms: float = DEFAULT_STOP_MS) -> list[threading.Thread]:
        """Stop, with all producers and listeners that are registered, and wait until their threads have ended.

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
        with self._registering:
            first, self._stopping = not self._stopping, True
            if first:
                self._close()
        threads = [self, *(thread for member in self._members for thread in member.threads)]
        own = threading.current_thread()
        if own in threads and not first:
            return []
        deadline = time.monotonic() + timeout_ms / 1000
        others = [thread for thread in threads if thread is not own and thread.is_alive()]
        for thread in others:
            threading.Thread.join(thread, max(0.0, deadline - time.monotonic()))
        still = [thread for thread in others if thread.is_alive()]
        if still:
            names = ", ".join(repr(thread.name) for thread in still)
            _LOGGER.warning(
                "%d ms after stop() of %r, these threads still run: %s", timeout_ms, self.name, names
            )
        return still

    def _close(self) -> None:
        producers = {mailbox: None for topic in self._producers.values() for mailbox in topic}
        listeners = {
            one: None for audience in self._audiences.by_topic.values() for one in audience.listeners
        }
        for mailbox in producers:
            mailbox.close()
            mailbox.clear()
        self._ledger.close()  # tells the listeners what their requests have come to
        for listener in listeners:
            listener.stop()
        self._members = [mailbox.owner for mailbox in producers if isinstance(mailbox.owner, Worker)]
        self._members += listeners
        self._producers = {}
        self._audiences.by_topic = {}
        self._early = None

    def _check(self, member: Worker, kind: type[Worker], topic: str) -> Mailbox[Any]:
        _check_kind(member, kind)
        _check_topic(topic)
        mailbox = mailbox_of(member)
        if mailbox.closed:
            raise ClosedError(f"{member.name!r} has been stopped; make a new one")
        return mailbox

    def _check_open(self) -> None:
        if self._stopping:
            raise ClosedError(f"{self.name!r} has been stopped; make a new one")


def check_ttl(ttl: object) -> None:
    """Refuse what is no time to live.

    Raises:
        ConfigurationError: with the value.
    """
    if isinstance(ttl, bool) or not isinstance(ttl, int | float) or not 0 < ttl < math.inf:
        raise ConfigurationError(f"a ttl is a number of milliseconds above 0, not {ttl!r}")


def refusal(mailbox: Mailbox[Any]) -> Exception:
    """Why a producer was not asked."""
    if mailbox.closed:
        return ClosedError(f"{mailbox.owner!r} has been stopped")
    return FlowError(f"{len(mailbox)} requests wait for {mailbox.owner!r} already: its capacity")


def _check_kind(member: object, kind: type[Worker]) -> None:
    if not isinstance(member, kind):
        raise ConfigurationError(f"what is registered is a {kind.__name__}, not {member!r}")


def _check_topic(topic: object) -> None:
    if not isinstance(topic, str):
        raise TopicError(f"a topic is a str, not {type(topic).__name__}: {topic!r}")

"""A message of a stream at its consumer, and the streams that they come from."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from colugo.errors import ConfigurationError, LifecycleError
from colugo.protocol.streams.message_ids import message_id
from colugo.protocol.streams.message_parts import unpack_headers
from colugo.protocol.streams.ranges import RangeSet
from colugo.protocol.streams.settlements import BY_RULES, MAX_DELAY_MS, Failure, Settlement, SettlementOutcome

if TYPE_CHECKING:
    from colugo.patterns.streams.consuming.consumer_link import ConsumerLink

_MOST_RANGES = 1000


@dataclass(eq=False, slots=True)
class DeliverySource:
    """A stream that messages come from; the same one after it was started again on its store.

    Attributes:
        stream_id: its id.
        topic: its topic.
        node: the name of its node.
        link: the connection; None while there is none.
        ack_timeout_s: seconds until a message of which it hears nothing is redelivered.
        held: numbers of messages that wait here or are being handled.
        handled: numbers of those that have been acknowledged, in case they come again.
        run: of the stream, an id that is new each time it is started.
        admitted: the number of the answer by which it has let the consumer in.
        joined_again: whether the group may be a new one there, which knows nothing of the tries before.
    """

    stream_id: bytes
    topic: str = ""
    node: str = ""
    link: "ConsumerLink | None" = None
    ack_timeout_s: float = 30.0
    held: set[int] = field(default_factory=set)
    handled: RangeSet = field(default_factory=RangeSet)
    run: str | None = None
    admitted: int = 0
    joined_again: bool = False

    @property
    def newest(self) -> int:
        """The highest number that has come from it."""
        return max(self.handled.last, max(self.held, default=0))

    def acknowledge(self, seq: int) -> None:
        """A message has been handled."""
        self.held.discard(seq)
        self.handled.add(seq, seq)
        if self.link is not None:
            self.link.acknowledge(seq)

    def acknowledge_all(self, seqs: list[int], ranges: list[tuple[int, int]]) -> None:
        """Messages have been handled."""
        self.held.difference_update(seqs)
        for first, last in ranges:
            self.handled.add(first, last)
        if self.link is not None:
            self.link.acknowledge_all(seqs)

    def tell(self, settlement: Settlement) -> None:
        """Something else has become of a message."""
        if settlement.outcome is not SettlementOutcome.WORKING:
            self.held.discard(settlement.seq)
        if self.link is not None:
            self.link.tell(settlement)

    def tidy(self) -> None:
        """Forget what was handled long ago."""
        ranges = list(self.handled)
        if len(ranges) > _MOST_RANGES:
            self.handled = RangeSet(ranges[-_MOST_RANGES // 2 :])


class ReceivedMessage(NamedTuple):
    """A message as it came.

    Attributes:
        source: the stream.
        seq: its number.
        sent_ns: when it was sent.
        attempt: which try this is.
        flags: of its frame.
        key: its key.
        headers: packed.
        payload: encoded.
    """

    source: DeliverySource
    seq: int
    sent_ns: int
    attempt: int
    flags: int
    key: str
    headers: bytes
    payload: bytes

    @property
    def id(self) -> str:
        """The message's id, as `send` has returned it."""
        return message_id(self.source.stream_id, self.seq)


class Delivery:
    """What is known of a message besides itself, and what can be said of it; callbacks get it.

    Args:
        item: the message as it came.
        redelivered: whether a consumer of the group may have had the message before.
        submit: has something said on the node's thread.

    Attributes:
        key: the message's key; "" for none.
        attempt: which try this is, from 1 on; 255 for that or a later one.
        redelivered: whether a consumer of the group may have had the message before.
        sent_ns: when it was sent, nanoseconds since 1970 by the sender's clock.
    """

    __slots__ = (
        "_extend",
        "_headers",
        "_seq",
        "_settled",
        "_source",
        "_submit",
        "attempt",
        "key",
        "redelivered",
        "sent_ns",
    )

    def __init__(self, item: ReceivedMessage, *, redelivered: bool, submit: Callable[..., None]) -> None:
        self._source = item.source
        self._seq = item.seq
        self._headers = item.headers
        self._submit = submit
        self._settled = False
        self._extend: Callable[[], None] | None = None
        self.key = item.key
        self.attempt = item.attempt
        self.redelivered = redelivered
        self.sent_ns = item.sent_ns

    @property
    def id(self) -> str:
        """The message's id, as `send` has returned it."""
        return message_id(self._source.stream_id, self._seq)

    @property
    def topic(self) -> str:
        """The stream's topic."""
        return self._source.topic

    @property
    def node(self) -> str:
        """The name of the node that keeps the stream."""
        return self._source.node

    @property
    def headers(self) -> dict[str, Any]:
        """The message's headers.

        Raises:
            DecodeError: if they cannot be decoded.
        """
        return unpack_headers(self._headers)

    @property
    def settled(self) -> bool:
        """Whether it has been acknowledged or given back."""
        return self._settled

    def ack(self) -> None:
        """It has been handled; from any thread.

        Raises:
            LifecycleError: if that, or `nack()`, was said before.
        """
        self._settle()
        self._submit(self._source.acknowledge, self._seq)

    def nack(self, reason: str = "nack", *, delay_ms: int | None = None) -> None:
        """It could not be handled: it is redelivered, or becomes a dead letter; from any thread.

        Args:
            reason: for the dead letter.
            delay_ms: milliseconds until the next try; None for the stream's `retry_delay_ms`, doubled for
                each further try.

        Raises:
            LifecycleError: if that, or `ack()`, was said before.
            ConfigurationError: if the delay is no number of milliseconds.
        """
        if delay_ms is not None and (
            isinstance(delay_ms, bool) or not isinstance(delay_ms, int) or not 0 <= delay_ms <= MAX_DELAY_MS
        ):
            raise ConfigurationError(
                f"delay_ms is a whole number of milliseconds from 0 on, not {delay_ms!r}"
            )
        self.fail(Failure(str(reason)), BY_RULES if delay_ms is None else delay_ms)

    def fail(self, failure: Failure, delay_ms: int = BY_RULES) -> None:
        """The same with a traceback.

        Args:
            failure: why, as it travels.
            delay_ms: milliseconds until the next try, or BY_RULES.
        """
        self._settle()
        settlement = Settlement(self._seq, SettlementOutcome.NACK, delay_ms, failure)
        self._submit(self._source.tell, settlement)

    def working(self) -> None:
        """It needs more time: its `ack_timeout_ms` begins anew; from any thread.

        Raises:
            LifecycleError: if it has been acknowledged or given back.
        """
        if self._settled:
            raise LifecycleError(f"message {self.id} has been settled already")
        self._submit(self._work_on)

    def _work_on(self) -> None:
        self._source.tell(Settlement(self._seq, SettlementOutcome.WORKING))
        if self._extend is not None:
            self._extend()

    def _settle(self) -> None:
        if self._settled:
            raise LifecycleError(f"message {self.id} has been settled already")
        self._settled = True

    def __repr__(self) -> str:
        return f"<Delivery {self.id} of {self.topic}, attempt {self.attempt}>"


Waiting = deque[ReceivedMessage]

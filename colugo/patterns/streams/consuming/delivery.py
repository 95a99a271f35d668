"""A message at its consumer, and the stream that has delivered it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from colugo.errors import ConfigurationError, LifecycleError
from colugo.protocol.streams.joining import Joined
from colugo.protocol.streams.message_parts import unpack_headers
from colugo.protocol.streams.ranges import RangeSet
from colugo.protocol.streams.settlements import BY_RULES, MAX_DELAY_MS, Failure, Settlement, SettlementOutcome
from colugo.protocol.streams.stream_message import message_id

if TYPE_CHECKING:
    from colugo.patterns.streams.consuming.consumer_link import ConsumerLink

_MAX_RANGES = 1000


@dataclass(eq=False, slots=True)
class DeliverySource:
    """A stream, and what the consumer knows of it; the same across the stream's restarts.

    Attributes:
        link: the connection that has the session; None while there is none.
        ack_timeout_s: seconds until the stream redelivers a message that is neither settled nor extended.
        unsettled: the numbers of messages that wait here or are in progress.
        acknowledged: the numbers of acknowledged messages, to recognize duplicates.
        run: an id that is new each time the stream starts.
        admitted: the number of the stream's answer, see `Joined`.
        rejoined: whether the group may be new there, and not know of earlier attempts.
        ordered: whether messages of one key are handled one after another.
    """

    stream_id: bytes
    topic: str = ""
    node: str = ""
    link: "ConsumerLink | None" = None
    ack_timeout_s: float = 30.0
    unsettled: set[int] = field(default_factory=set)
    acknowledged: RangeSet = field(default_factory=RangeSet)
    run: str | None = None
    admitted: int = 0
    rejoined: bool = False
    ordered: bool = True

    @property
    def newest(self) -> int:
        """The highest message number that the stream has delivered."""
        return max(self.acknowledged.last, max(self.unsettled, default=0))

    def begin_session(self, link: "ConsumerLink", joined: Joined, *, again: bool) -> None:
        """Note that the stream has admitted the consumer on a link, for the first time or again."""
        self.link = link
        self.topic = joined.topic
        self.run = joined.run
        self.admitted = joined.admitted
        self.node = link.peer.node
        self.ack_timeout_s = joined.ack_timeout_ms / 1000
        self.ordered = joined.order == "key"
        self.rejoined = again

    def is_newer_than(self, joined: Joined) -> bool:
        """Return True if the stream has admitted the consumer after an answer that is read late."""
        return joined.run is not None and joined.run == self.run and joined.admitted < self.admitted

    def is_ahead_of(self, joined: Joined) -> bool:
        """Return True if the stream restarted on a store that lacks messages it had delivered."""
        return joined.last is not None and joined.run != self.run and self.newest > joined.last

    def acknowledge(self, seq: int) -> None:
        """Acknowledge a message."""
        self.unsettled.discard(seq)
        self.acknowledged.add(seq, seq)
        if self.link is not None:
            self.link.acknowledge(seq)

    def acknowledge_all(self, seqs: list[int], ranges: list[tuple[int, int]]) -> None:
        """Acknowledge messages, given as numbers and as ranges."""
        self.unsettled.difference_update(seqs)
        for first, last in ranges:
            self.acknowledged.add(first, last)
        if self.link is not None:
            self.link.acknowledge_all(seqs)

    def settle(self, settlement: Settlement) -> None:
        """Send another settlement of a message."""
        if settlement.outcome is not SettlementOutcome.WORKING:
            self.unsettled.discard(settlement.seq)
        if self.link is not None:
            self.link.settle(settlement)

    def trim(self) -> None:
        """Forget messages that were acknowledged long ago."""
        ranges = list(self.acknowledged)
        if len(ranges) > _MAX_RANGES:
            self.acknowledged = RangeSet(ranges[-_MAX_RANGES // 2 :])


class ReceivedMessage(NamedTuple):
    """A message as it was received.

    Attributes:
        sent_ns: the time when it was sent, nanoseconds since 1970.
        attempt: the number of this delivery attempt, from 1.
        flags: FLAG_TEXT and FLAG_REDELIVERED.
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
        """The message's id, as `send` returned it."""
        return message_id(self.source.stream_id, self.seq)


class Delivery:
    """The delivery of a message to a callback: its metadata, and the methods that settle it.

    Args:
        item: the received message.
        redelivered: whether a consumer of the group may have had the message before.
        submit: runs a settlement on the node's thread.
        extend: extends the callback's own timeout; None if it has none.

    Attributes:
        key: the message's key; "" for none.
        attempt: the number of this delivery attempt, from 1; 255 stands for that or a later one.
        redelivered: whether a consumer of the group may have had the message before.
        sent_ns: the time when it was sent, nanoseconds since 1970 by the sender's clock.
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

    def __init__(
        self,
        item: ReceivedMessage,
        *,
        redelivered: bool,
        submit: Callable[..., None],
        extend: Callable[[], None] | None = None,
    ) -> None:
        self._source = item.source
        self._seq = item.seq
        self._headers = item.headers
        self._submit = submit
        self._settled = False
        self._extend = extend
        self.key = item.key
        self.attempt = item.attempt
        self.redelivered = redelivered
        self.sent_ns = item.sent_ns

    @property
    def id(self) -> str:
        """The message's id, as `send` returned it."""
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
        """True after `ack()`, `nack()` or `reject()`."""
        return self._settled

    def ack(self) -> None:
        """Acknowledge the message; callable from any thread.

        Raises:
            LifecycleError: if the message is settled already.
        """
        self._settle()
        self._submit(self._source.acknowledge, self._seq)

    def nack(self, reason: str = "nack", *, delay_ms: int | None = None) -> None:
        """Return the message, to be redelivered or become a dead letter; callable from any thread.

        Args:
            reason: the reason, for the dead letter.
            delay_ms: milliseconds until the next attempt; None for the stream's `retry_delay_ms`, doubled for
                each further attempt.

        Raises:
            LifecycleError: if the message is settled already.
            ConfigurationError: if the delay is not a number of milliseconds.
        """
        if delay_ms is not None and (
            isinstance(delay_ms, bool) or not isinstance(delay_ms, int) or not 0 <= delay_ms <= MAX_DELAY_MS
        ):
            raise ConfigurationError(f"delay_ms must be an integer ≥ 0 (milliseconds), not {delay_ms!r}")
        self.fail(Failure(str(reason)), BY_RULES if delay_ms is None else delay_ms)

    def reject(self, reason: str) -> None:
        """Make the message a dead letter at once, without another attempt; callable from any thread.

        Args:
            reason: the reason, for the dead letter.

        Raises:
            LifecycleError: if the message is settled already.
        """
        self._settle()
        settlement = Settlement(self._seq, SettlementOutcome.REJECT, failure=Failure(str(reason)))
        self._submit(self._source.settle, settlement)

    def fail(self, failure: Failure, delay_ms: int = BY_RULES) -> None:
        """Return the message as failed, with a traceback.

        Args:
            failure: the reason and the traceback.
            delay_ms: milliseconds until the next attempt, or BY_RULES for the stream's backoff.

        Raises:
            LifecycleError: if the message is settled already.
        """
        self._settle()
        settlement = Settlement(self._seq, SettlementOutcome.NACK, delay_ms, failure)
        self._submit(self._source.settle, settlement)

    def working(self) -> None:
        """Restart the message's `ack_timeout_ms`, since it needs more time; callable from any thread.

        Raises:
            LifecycleError: if the message is settled already.
        """
        if self._settled:
            raise LifecycleError(f"message {self.id} has been settled already")
        self._submit(self._extend_timeout)

    def _extend_timeout(self) -> None:
        self._source.settle(Settlement(self._seq, SettlementOutcome.WORKING))
        if self._extend is not None:
            self._extend()

    def _settle(self) -> None:
        if self._settled:
            raise LifecycleError(f"message {self.id} has been settled already")
        self._settled = True

    def __repr__(self) -> str:
        return f"<Delivery {self.id} of {self.topic}, attempt {self.attempt}>"

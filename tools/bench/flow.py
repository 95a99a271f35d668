"""The publishers and subscribers of one library, and rounds of messages through them."""

import time
from contextlib import ExitStack
from dataclasses import dataclass

from tools.bench.libraries import broker
from tools.bench.peers.network import Network
from tools.bench.processes import Child, NoAnswerError
from tools.bench.rounds import RoundFailedError

_ROLES = "tools.bench.message_roles"
_START_S = 30.0
_PROBE_S = 0.1
_SETTLE_S = 0.2
_STALL_S = 3.0
_ANSWER_S = 30.0
_NS = 1e9
_MOST_BYTES = 512 << 20
_TRIAL_S = 0.1


@dataclass(frozen=True, slots=True)
class Shape:
    """How many take part.

    Attributes:
        publishers: processes that send.
        subscribers: processes each of which gets all.
        timed: whether the subscribers take times, instead of counting only.
    """

    publishers: int = 1
    subscribers: int = 1
    timed: bool = False


class Flow:
    """Processes that know each other, and are idle between rounds.

    Args:
        library: what they use.
        network: where they meet.
        shape: how many there are.

    Raises:
        NoAnswerError: if they do not come up, or do not find each other.
    """

    def __init__(self, library: str, network: Network, shape: Shape) -> None:
        self._counts: dict[int, int] = {}
        with ExitStack() as stack:
            # libzmq leaves it behind
            stack.callback(network.socket_path.unlink, missing_ok=True)
            stack.enter_context(broker(library, network))
            role = "take_times" if shape.timed else "subscribe"
            self._subscribers = [
                stack.enter_context(Child(_ROLES, role, library, str(network)))
                for _ in range(shape.subscribers)
            ]
            self._publishers = [
                stack.enter_context(Child(_ROLES, "publish", library, str(network), str(number)))
                for number in range(shape.publishers)
            ]
            for child in (*self._subscribers, *self._publishers):
                child.expect("ready", within=_START_S)
            for number, publisher in enumerate(self._publishers):
                self._probe(publisher, str(number))
            time.sleep(_SETTLE_S)  # the last probes may still be on their way
            self._children = stack.pop_all()

    def calibrate(self, size: int, seconds: float) -> None:
        """Find out how many messages of a size take so long; that many is what `rate` sends from then on."""
        count = max(4, min(2000, (8 << 20) // size) // len(self._publishers))
        for trial_s in (min(_TRIAL_S, seconds), seconds):
            per_publisher = self._send(size, count) / len(self._publishers) / len(self._subscribers)
            count = max(1, min(int(per_publisher * trial_s), _MOST_BYTES // size // len(self._publishers)))
        self._counts[size] = count

    def rate(self, size: int) -> float:
        """Send a round of messages of a size.

        Returns:
            Messages per second: what all subscribers got, from the first sending to the last receipt.

        Raises:
            RoundFailedError: if anything was lost or damaged.
        """
        try:
            return self._send(size, self._counts[size])
        except NoAnswerError as error:
            raise RoundFailedError(str(error)) from error

    def latencies(self, size: int, ticks: int, per_tick: int) -> tuple[float, float]:
        """Send at a fixed rate from the publisher to the subscriber.

        Args:
            size: bytes of a message.
            ticks: how many milliseconds long.
            per_tick: messages of each.

        Returns:
            The median and the 99th percentile of the times from sending to receipt, in microseconds.

        Raises:
            RoundFailedError: if anything was lost or damaged.
        """
        (subscriber,) = self._subscribers
        try:
            self._transfer(f"pace {size} {ticks} {per_tick}", size, ticks * per_tick)
            p50, p99 = subscriber.ask("times", "times", within=_ANSWER_S)
        except NoAnswerError as error:
            raise RoundFailedError(str(error)) from error
        return int(p50) / 1e3, int(p99) / 1e3

    def close(self) -> None:
        """End the processes."""
        self._children.close()

    def _send(self, size: int, count: int) -> float:
        began, ended = self._transfer(f"send {size} {count}", size, count)
        total = count * len(self._publishers) * len(self._subscribers)
        return total * _NS / max(1, ended - began)

    def _transfer(self, order: str, size: int, count: int) -> tuple[int, int]:
        expected = count * len(self._publishers)
        for subscriber in self._subscribers:
            subscriber.ask(f"expect {size} {expected}", "expecting", within=_ANSWER_S)
        for publisher in self._publishers:
            publisher.tell(order)
        ended = [_last_receipt(subscriber, expected) for subscriber in self._subscribers]
        began = [int(publisher.expect("sent", within=_ANSWER_S)[0]) for publisher in self._publishers]
        for subscriber in self._subscribers:
            _check(subscriber, expected)
        return min(began), max(time for time in ended if time is not None)

    def _probe(self, publisher: Child, number: str) -> None:
        """Let it send until every subscriber has heard it."""
        deadline = time.monotonic() + _START_S
        for subscriber in self._subscribers:
            while True:
                publisher.tell("probe")
                try:
                    subscriber.expect("heard", number, within=_PROBE_S)
                    break
                except NoAnswerError:
                    if time.monotonic() > deadline:
                        raise


def _last_receipt(subscriber: Child, expected: int) -> int | None:
    """When the last message came; None if no more come, though some are missing."""
    before = -1
    while True:
        try:
            return int(subscriber.expect("received", str(expected), within=_STALL_S)[0])
        except NoAnswerError:
            count = int(subscriber.ask("status", "status", within=_ANSWER_S)[0])
            if count == before:
                return None
            before = count


def _check(subscriber: Child, expected: int) -> None:
    """Raise RoundFailedError unless exactly so many messages came, and whole."""
    count, wrong = map(int, subscriber.ask("status", "status", within=_ANSWER_S))
    if count < expected:
        raise RoundFailedError(f"{expected - count} of {expected} messages lost", lost=expected - count)
    if count > expected:
        raise RoundFailedError(f"{count - expected} messages more than the {expected} that were sent")
    if wrong:
        raise RoundFailedError(f"at least {wrong} of {expected} messages damaged")

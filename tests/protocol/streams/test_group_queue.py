"""The queue of a consumer group, against a simple model."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

import tests.support.strategies  # noqa: F401 - loads hypothesis' profile
from colugo.protocol.streams import delivery_deadlines, group_queue
from colugo.protocol.streams.attempts import DeliveryRules, ExhaustedMessage, QueuedMessage
from colugo.protocol.streams.group_queue import GroupQueue
from colugo.protocol.streams.ranges import MAX_NUMBER, Range
from colugo.protocol.streams.stream_message import StreamMessage
from colugo.protocol.streams.transitions import FINAL, TRANSITIONS, DeliveryState

TIMEOUT_S = 30.0
DELAY_S = 1.0
MOVES = {(before, after) for (before, _), after in TRANSITIONS.items()} | {
    (DeliveryState.IN_FLIGHT, DeliveryState.DEAD)
}
NAMES = [b"a", b"b", b"c", b"d"]
names = st.sampled_from(NAMES)
keys = st.sampled_from(["", "", "x", "y"])
steps = st.floats(0, 20) | st.floats(0, 0.5)


def message(seq: int, key: str = "", payload: bytes = b"12345") -> StreamMessage:
    return StreamMessage(seq, key, b"", payload, 0, 0)


class Watched(QueuedMessage):
    """A queued message that checks each change of its state against the table."""

    __slots__ = ("_now",)

    @property
    def state(self) -> DeliveryState:
        return self._now

    @state.setter
    def state(self, state: DeliveryState) -> None:
        before = getattr(self, "_now", None)
        if before is None:
            assert state is DeliveryState.READY
        else:
            assert (before, state) in MOVES, f"from {before.name} to {state.name}"
        self._now = state


@dataclass
class Fate:
    """The model of a message."""

    seq: int
    key: str
    size: int
    tries: int = 0
    state: DeliveryState = DeliveryState.READY
    holder: bytes | None = None
    redelivered: bool = False
    orphaned: bool = False
    nacked: bool = False
    until: float = 0.0


@dataclass
class Consumer:
    """The model of a member."""

    prefetch: int
    silent: bool = False
    leaving: bool = False
    held: set[int] = field(default_factory=set)


class Delivery(RuleBasedStateMachine):
    """Drives a GroupQueue and the model, and compares them."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(group_queue, "QueuedMessage", Watched)
        for module in (group_queue, delivery_deadlines):
            self.patch.setattr(module, "_MAX_STALE", 2)
        self.queue = GroupQueue(DeliveryRules())
        self.ordered = True
        self.fates: dict[int, Fate] = {}
        self.consumers: dict[bytes, Consumer] = {}
        self.now = 1000.0
        self.last = 0
        self.dead: list[int] = []

    # --- the model

    def open_fates(self, *states: DeliveryState) -> list[Fate]:
        return [
            one for one in self.fates.values() if (one.state in states if states else one.state not in FINAL)
        ]

    def take_back(self, fate: Fate) -> None:
        if fate.holder is not None:
            self.consumers[fate.holder].held.discard(fate.seq)
            fate.holder = None

    def fail(self, name: bytes, failed: list[Fate]) -> set[int]:
        """Fail messages of a lost or silent member, and return the dead ones."""
        alone = len(self.consumers[name].held) == 1
        dead = set()
        for fate in failed:
            self.take_back(fate)
            if alone and fate.tries >= self.queue.rules.max_deliver:
                fate.state = DeliveryState.DEAD
                dead.add(fate.seq)
            else:
                fate.state = DeliveryState.READY
                fate.redelivered = fate.orphaned = True
        return dead

    def end_pauses(self) -> None:
        for fate in self.open_fates(DeliveryState.PAUSED):
            if fate.until <= self.now:
                fate.state = DeliveryState.READY

    def bury(self, dead: Iterable[ExhaustedMessage], expected: set[int]) -> None:
        numbers = [one.queued.message.seq for one in dead]
        assert sorted(numbers) == sorted(expected)
        assert all(one.queued.state is DeliveryState.DEAD and one.reason for one in dead)
        self.dead += numbers

    def deliver(self, name: bytes, entries: list[QueuedMessage]) -> None:
        consumer = self.consumers[name]
        assert entries
        assert not consumer.silent
        assert not consumer.leaving
        for entry in entries:
            fate = self.fates[entry.message.seq]
            assert fate.state is DeliveryState.READY
            self.check_order(fate)
            fate.state = DeliveryState.IN_FLIGHT
            fate.holder = name
            fate.tries += 1
            fate.until = self.now + TIMEOUT_S
            consumer.held.add(fate.seq)
            assert (entry.attempt, entry.redelivered) == (fate.tries, fate.redelivered)
            assert fate.tries <= self.queue.rules.max_deliver + fate.orphaned
            if fate.orphaned:
                assert consumer.held == {fate.seq}
        assert len(consumer.held) <= consumer.prefetch

    def check_order(self, fate: Fate) -> None:
        """Check that no earlier message of the same key waits."""
        if not (self.ordered and fate.key) or fate.orphaned or fate.nacked:
            return
        before = [
            one
            for one in self.open_fates(DeliveryState.READY)
            if one.key == fate.key and (one.orphaned or (one.seq < fate.seq and not one.nacked))
        ]
        assert not before

    def check_nothing_waits_needlessly(self) -> None:
        carrier = None if self.queue._orphans.carrier is None else self.queue._orphans.carrier.identity
        able = {name for name, one in self.consumers.items() if self.room(name)}
        free = able - {carrier}
        keyed = [one for one in self.open_fates(DeliveryState.IN_FLIGHT) if self.ordered and one.key]
        holders = {one.key: one.holder for one in keyed}
        ready = self.open_fates(DeliveryState.READY)
        orphaned_keys = {one.key for one in ready if self.ordered and one.orphaned}
        for fate in ready:
            if fate.orphaned and able and fate.key not in holders:
                assert carrier is not None
                assert self.consumers[carrier].held
            elif fate.key in holders:
                assert fate.orphaned or fate.key in orphaned_keys or holders[fate.key] not in free
            elif not fate.orphaned and not (fate.key and fate.key in orphaned_keys):
                assert not free

    def room(self, name: bytes) -> int:
        one = self.consumers[name]
        return 0 if one.silent or one.leaving else max(0, one.prefetch - len(one.held))

    # --- what comes in

    @initialize(
        max_deliver=st.integers(1, 3),
        before=st.lists(st.tuples(keys, st.integers(0, 4)), max_size=5),
        ordered=st.booleans(),
    )
    def start(self, max_deliver: int, before: list[tuple[str, int]], *, ordered: bool) -> None:
        self.ordered = ordered
        self.queue = GroupQueue(DeliveryRules(max_deliver, TIMEOUT_S, DELAY_S, ordered=ordered))
        for key, tries in before:
            self.last += 1
            fate = self.fates[self.last] = Fate(self.last, key, 5, tries, redelivered=True)
            dead = self.queue.offer_redelivery(message(self.last, key), tries)
            if tries > max_deliver:
                fate.state = DeliveryState.DEAD
                assert dead is not None
                self.bury([dead], {self.last})
            else:
                assert dead is None
                fate.orphaned = tries == max_deliver

    @rule(some=st.lists(st.tuples(keys, st.binary(max_size=3)), max_size=8), gap=st.integers(0, 2))
    def offer(self, some: list[tuple[str, bytes]], gap: int) -> None:
        self.last += gap
        messages = [message(self.last + n, *one) for n, one in enumerate(some, 1)]
        self.last += len(some)
        for one in messages:
            self.fates[one.seq] = Fate(one.seq, one.key, len(one.payload))
        self.queue.offer(messages)

    @rule(name=names, prefetch=st.integers(0, 5))
    def join_or_leave(self, name: bytes, prefetch: int) -> None:
        if name not in self.consumers:
            self.queue.join(name, prefetch)
            self.consumers[name] = Consumer(prefetch)
        else:
            self.leave(name)

    def leave(self, name: bytes) -> None:
        dead = self.queue.leave(name, "lost")
        self.bury(dead, self.fail(name, [self.fates[seq] for seq in sorted(self.consumers[name].held)]))
        del self.consumers[name]

    @rule()
    def assign(self) -> None:
        self.end_pauses()
        for member, entries in self.queue.assign(self.now):
            self.deliver(member.identity, entries)
        self.check_nothing_waits_needlessly()

    # --- what members say

    @rule(data=st.data())
    def acknowledge_what_one_has(self, data: st.DataObject) -> None:
        if held := sorted(seq for one in self.consumers.values() for seq in one.held):
            chosen = data.draw(st.lists(st.sampled_from(held), unique=True))
            self.acknowledge([(seq, seq) for seq in sorted(chosen)])

    @rule(first=st.integers(1, 60), length=st.integers(0, 20) | st.just(MAX_NUMBER - 100))
    def acknowledge_anything(self, first: int, length: int) -> None:
        self.acknowledge([(first, first + length)])

    def acknowledge(self, ranges: list[Range]) -> None:
        expected = [
            one
            for one in self.open_fates()
            if any(first <= one.seq <= last for first, last in ranges) and (one.tries or one.redelivered)
        ]
        done, unknown = self.queue.acknowledge(ranges)
        assert done == sorted(one.seq for one in expected)
        assert unknown == sum(last - first + 1 for first, last in ranges) - len(done)
        for fate in expected:
            self.take_back(fate)
            fate.state = DeliveryState.ACKNOWLEDGED

    def some_of(self, data: st.DataObject, name: bytes) -> list[int]:
        """Draw numbers, mostly of messages that the member has."""
        held = sorted(self.consumers[name].held) if name in self.consumers else []
        own = st.sampled_from(held) if held else st.nothing()
        return data.draw(st.lists(own | own | st.integers(1, self.last + 1), max_size=5, unique=True))

    def held_by(self, name: bytes, seqs: list[int]) -> list[Fate]:
        held = self.consumers[name].held if name in self.consumers else set()
        return [self.fates[seq] for seq in seqs if seq in held]

    @rule(data=st.data(), name=names, delay_s=st.none() | st.floats(0, 100))
    def nack(self, data: st.DataObject, name: bytes, delay_s: float | None) -> None:
        for seq in self.some_of(data, name):
            known, dead = self.queue.nack(name, seq, self.now, delay_s=delay_s, reason="r", traceback="t")
            fates = self.held_by(name, [seq])
            assert known == bool(fates)
            expected = set()
            for fate in fates:
                self.take_back(fate)
                if fate.tries >= self.queue.rules.max_deliver:
                    fate.state = DeliveryState.DEAD
                    expected = {seq}
                    assert dead is not None
                    assert (dead.reason, dead.traceback) == ("r", "t")
                else:
                    fate.state = DeliveryState.PAUSED
                    fate.redelivered = fate.nacked = True
                    fate.orphaned = False
                    delay = DELAY_S * 2 ** (fate.tries - 1) if delay_s is None else delay_s
                    fate.until = self.now + delay
            self.bury([] if dead is None else [dead], expected)

    @rule(data=st.data(), name=names)
    def reject(self, data: st.DataObject, name: bytes) -> None:
        for seq in self.some_of(data, name):
            dead = self.queue.reject(name, seq, reason="r", traceback="t")
            for fate in self.held_by(name, [seq]):
                self.take_back(fate)
                fate.state = DeliveryState.DEAD
                assert dead is not None
                assert (dead.reason, dead.traceback) == ("r", "t")
                self.bury([dead], {seq})
                break
            else:
                assert dead is None

    @rule(data=st.data(), name=names)
    def give_back(self, data: st.DataObject, name: bytes) -> None:
        seqs = self.some_of(data, name)
        fates = self.held_by(name, seqs)
        assert self.queue.requeue(name, seqs) == len(seqs) - len(fates)
        for fate in fates:
            self.give_up(fate)
        if name in self.consumers:
            self.consumers[name].leaving = True

    def give_up(self, fate: Fate) -> None:
        self.take_back(fate)
        fate.state = DeliveryState.READY
        fate.tries -= 1

    @rule(data=st.data(), name=names, prefetch=st.integers(0, 5))
    def rejoin(self, data: st.DataObject, name: bytes, prefetch: int) -> None:
        if name not in self.consumers:
            return
        started = self.some_of(data, name)
        self.queue.rejoin(name, prefetch, started)
        for seq in sorted(self.consumers[name].held - set(started)):
            self.give_up(self.fates[seq])
        self.consumers[name].leaving = False
        self.consumers[name].prefetch = prefetch

    @rule(data=st.data(), name=names)
    def abandon(self, data: st.DataObject, name: bytes) -> None:
        seqs = self.some_of(data, name)
        fates = self.held_by(name, seqs)
        strange, dead = self.queue.abandon(name, seqs, "abandoned")
        assert strange == len(seqs) - len(fates)
        if fates:
            self.bury(dead, self.fail(name, fates))
            self.consumers[name].leaving = True

    @rule(data=st.data(), name=names)
    def working(self, data: st.DataObject, name: bytes) -> None:
        seqs = self.some_of(data, name)
        fates = self.held_by(name, seqs)
        assert self.queue.extend_deadlines(name, seqs, self.now) == len(seqs) - len(fates)
        for fate in fates:
            fate.until = self.now + TIMEOUT_S

    @rule(name=names)
    def hear(self, name: bytes) -> None:
        consumer = self.consumers.get(name)
        assert self.queue.mark_alive(name) == (consumer is not None and consumer.silent)
        if consumer is not None:
            consumer.silent = False

    @precondition(lambda self: self.last)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        seqs = data.draw(st.lists(st.integers(1, self.last), max_size=4, unique=True))
        fates = [one for one in self.open_fates() if one.seq in seqs]
        assert self.queue.discard(seqs) == len(fates)
        for fate in fates:
            self.take_back(fate)
            fate.state = DeliveryState.DISCARDED

    # --- time

    @rule(step=steps)
    def let_time_pass(self, step: float) -> None:
        self.now += step
        self.expire()

    def expire(self) -> None:
        self.end_pauses()
        late: dict[bytes, list[Fate]] = {}
        for fate in self.open_fates(DeliveryState.IN_FLIGHT):
            if fate.until <= self.now:
                assert fate.holder is not None
                late.setdefault(fate.holder, []).append(fate)
        expected = set()
        for name, fates in late.items():
            expected |= self.fail(name, fates)
            self.consumers[name].silent = True
        dead, silent = self.queue.expire(self.now)
        assert {member.identity for member in silent} == set(late)
        self.bury(dead, expected)

    # --- what always holds

    @invariant()
    def counts_are_exact(self) -> None:
        unfinished = self.open_fates()
        assert {seq: entry.state for seq, entry in self.queue.messages.items()} == {
            one.seq: one.state for one in unfinished
        }
        assert self.queue.size == sum(one.size for one in unfinished)
        assert self.queue.in_flight == len(self.open_fates(DeliveryState.IN_FLIGHT))
        assert {name: member.in_flight for name, member in self.queue.members.items()} == {
            name: len(one.held) for name, one in self.consumers.items()
        }
        assert self.queue.first_deliveries() == [
            one.seq for one in self.open_fates(DeliveryState.IN_FLIGHT) if one.tries == 1
        ]

    @invariant()
    def the_next_look_is_at_the_next_deadline_or_end_of_a_pause(self) -> None:
        times = [one.until for one in self.open_fates(DeliveryState.IN_FLIGHT, DeliveryState.PAUSED)]
        assert self.queue.next_due() == min(times, default=None)

    @invariant()
    def one_member_at_a_time_has_messages_of_a_key_if_they_have_an_order(self) -> None:
        for key in ("x", "y") if self.ordered else ():
            holders = {one.holder for one in self.open_fates(DeliveryState.IN_FLIGHT) if one.key == key}
            assert len(holders) <= 1

    @invariant()
    def a_orphaned_message_is_alone_at_its_member(self) -> None:
        for fate in self.open_fates(DeliveryState.IN_FLIGHT):
            if fate.orphaned:
                assert fate.holder is not None
                assert self.consumers[fate.holder].held == {fate.seq}

    @invariant()
    def no_message_is_dead_twice_or_dead_and_acknowledged(self) -> None:
        assert len(set(self.dead)) == len(self.dead)
        assert {one.seq for one in self.fates.values() if one.state is DeliveryState.DEAD} == set(self.dead)

    def teardown(self) -> None:
        """Let a well-behaved member take everything, and check that nothing is left."""
        try:
            for name in list(self.consumers):
                self.leave(name)
            self.queue.join(b"good", 3)
            self.consumers[b"good"] = Consumer(3)
            unfinished = self.open_fates()
            for _ in range(2 * len(unfinished) + 1):
                self.assign()
                held = sorted(self.consumers[b"good"].held)
                if not held and (due := self.queue.next_due()) is not None:
                    self.now = due
                self.acknowledge([(seq, seq) for seq in held])
            assert {one.state for one in unfinished} <= {DeliveryState.ACKNOWLEDGED}
            self.counts_are_exact()
            self.check_that_nothing_is_left()
        finally:
            self.patch.undo()

    def check_that_nothing_is_left(self) -> None:
        queue = self.queue
        self.assign()
        assert queue.next_due() is None
        assert (len(queue.messages), queue.in_flight, queue.size) == (0, 0, 0)
        inner: list[Any] = [
            queue._ready,
            queue._orphans,
            queue._keys,
            queue._retries,
            queue._deadlines,
        ]
        assert [len(one) for one in inner] == [0] * len(inner)
        assert not queue._keys.unblocked
        assert queue._orphans.carrier is None
        assert not any(member.blocked for member in queue.members.values())


TestDelivery = Delivery.TestCase
TestDelivery.settings = settings(max_examples=120, stateful_step_count=40, deadline=None)

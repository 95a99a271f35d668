"""The delivery scheduler with a failing store and a killed producer, against a simple model."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from functools import partial
from itertools import cycle
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

import tests.support.strategies  # noqa: F401 - loads hypothesis' profile
from colugo.errors import ClosedError, StoreError, StreamFullError
from colugo.patterns.streams import groups as stream_groups
from colugo.patterns.streams import retention, transaction_writer
from colugo.patterns.streams.delivery_scheduler import DeliveryScheduler
from colugo.patterns.streams.group import StreamGroup
from colugo.patterns.streams.intake import FullPolicy, StreamLimits
from colugo.patterns.streams.retention import AckPolicy
from colugo.protocol.streams.attempts import DeliveryRules, GroupMember, QueuedMessage
from colugo.protocol.streams.bindings import MAX_EARLIER, Bindings
from colugo.protocol.streams.ranges import Range, to_ranges
from colugo.protocol.streams.settlements import Failure, Settlement, SettlementOutcome
from colugo.protocol.streams.stream_message import StreamMessage
from colugo.store import CommitOutcome, Transaction, size_of
from tests.support.scheduling import NS, Disk, OwnTimeLoop, SlowStore, runtime_on

BINDINGS = {"g": ("#",), "h": ("x.#",), "passing": ("#",)}
DECLARED = ["g", "h"]
OTHERS = [("#",), ("x.#",), ("y",), ("=", "y"), ("x.1",)]
keys = st.sampled_from(["", "x.1", "y"])
groups = st.sampled_from(sorted(BINDINGS))


@dataclass
class Consumer:
    """A consumer in the model."""

    identity: bytes
    group: StreamGroup
    broken: bool = False
    held: set[int] = field(default_factory=set)


class Keeping(RuleBasedStateMachine):
    """A scheduler, its consumers and its store; what is owed to a group must not be lost."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        self.loop = OwnTimeLoop()
        clock = SimpleNamespace(time_ns=lambda: int(self.loop.now * NS))
        for module in (stream_groups, transaction_writer, retention):
            self.patch.setattr(module, "time", clock)
        self.disk = Disk()
        self.owed: dict[str, set[int]] = defaultdict(set)
        self.handled: dict[str, set[int]] = defaultdict(set)
        self.begun: dict[str, set[int]] = defaultdict(set)
        self.buried: dict[str, set[int]] = defaultdict(set)
        self.stored: set[int] = set()
        self.let_go: set[int] = set()
        self.refused: set[int] = set()
        self.rising: dict[int, tuple[int, str]] = {}
        self.purged: set[tuple[int, str]] = set()
        self.audience: dict[int, set[str]] = {}
        self.bindings: dict[str, tuple[str, ...]] = dict(BINDINGS)
        self.bound: dict[str, tuple[str, ...]] = dict(BINDINGS)
        self.unwanted: dict[str, set[int]] = defaultdict(set)
        self.changes = 0
        self.consumers: dict[bytes, Consumer] = {}
        self.born = 0
        self.held = False
        self.unheard: dict[int, str] = {}
        self.returned: set[int] = set()

    @initialize(
        ack=st.sampled_from(["all", "all", "any"]),
        full=st.sampled_from(["reject", "drop-oldest"]),
        most=st.sampled_from([8, 1000, 1000]),
        age_ms=st.sampled_from([None, None, 60_000]),
        max_deliver=st.integers(1, 3),
        takes_s=st.sampled_from([0.0, 0.002]),
        grace_s=st.sampled_from([None, 0.0, 2.0]),
        members=st.lists(groups, min_size=2, max_size=5),
    )
    def begin(
        self,
        *,
        ack: AckPolicy,
        full: FullPolicy,
        most: int,
        age_ms: int | None,
        max_deliver: int,
        takes_s: float,
        grace_s: float | None,
        members: list[str],
    ) -> None:
        self.ack = ack
        self.grace_s = grace_s
        if grace_s is not None:
            self.bindings["g"] = ("*.#",)  # messages without a key are returned, unless others want them
        self.takes_s = takes_s  # a transaction: acknowledgements alone then wait
        self.limits = StreamLimits(most, 10_000, age_ms, full)
        self.ruling = DeliveryRules(max_deliver, ack_timeout_s=30.0, retry_delay_s=1.0)
        self.start()
        for name in members:
            self.join(name, 3)

    def settle(self) -> None:
        """Let happen what does, the store's work included unless it is held."""
        self.loop.turns()
        for _ in range(100):
            if self.held or not self.store.jobs:
                return
            self.loop.now += self.takes_s
            self.in_loop_only(self.store.step)
            self.loop.turns()
        raise AssertionError("the store never has nothing to do")

    def in_loop_only(self, action: Callable[[], None]) -> None:
        async def act() -> None:
            action()

        self.loop.do(act())

    def start(self) -> None:
        self.loop.do(self._start())
        self.settle()

    async def _start(self) -> None:
        self.acknowledged: dict[str, set[int]] = defaultdict(set)
        self.dead_now: dict[str, set[int]] = defaultdict(set)
        self.waiting: list[tuple[int, asyncio.Future[None]]] = []
        self.store = SlowStore(self.disk, self.on_commit)
        self.scheduler = DeliveryScheduler(
            runtime_on(self.loop),
            self.store,
            self.store.open(),
            ack=self.ack,
            limits=self.limits,
            rules=self.ruling,
        )
        for name in DECLARED:
            if name not in self.scheduler.groups.known:
                self.scheduler.groups.make_group(name, self.bindings[name], durable=True)
        for name, group in self.scheduler.groups.known.items():
            self.bound[name] = group.bindings.patterns
        if self.grace_s is not None:
            self.scheduler.return_unrouted(self.grace_s, self.return_one)
        self.scheduler.open(self)

    def return_one(self, message: StreamMessage) -> None:
        seq = message.seq
        assert seq in self.stored
        if self.ack == "all":  # with "any", new bindings apply to messages that wait
            for name, owed in self.owed.items():
                assert seq not in owed or seq in self.handled[name] | self.buried[name]
        self.returned.add(seq)

    # --- what the scheduler does

    def on_commit(self, transaction: Transaction, outcome: CommitOutcome) -> None:
        for message in transaction.inserts:
            self.stored.add(message.seq)
            for name in self.audience.pop(message.seq, ()):
                record = self.disk._groups[name]
                assert not record.forgotten
                if record.durable:
                    self.owed[name].add(message.seq)
        for letter in transaction.dead:
            self.buried[letter.group].add(letter.message.seq)
        self.let_go.update(outcome.trimmed, outcome.expired)

    def ping(self, member: GroupMember) -> None:
        pass

    def deliver(self, member: GroupMember, entries: list[QueuedMessage]) -> None:
        consumer = self.consumers[member.identity]
        group = consumer.group
        assert entries
        if consumer.broken:
            self.lose(consumer)
            return
        record = self.disk._groups[group.name]
        for entry in entries:
            seq = entry.message.seq
            assert seq in self.stored
            assert seq not in self.refused
            assert seq not in self.acknowledged[group.name]
            assert seq not in self.dead_now[group.name]
            if not entry.redelivered:
                assert entry.message.group or self.is_for(group.name, seq, entry.message.key)
            if seq in self.begun[group.name]:
                assert entry.redelivered
            if entry.redelivered and seq not in group.done:
                assert self.disk._attempts[group.name, seq] >= entry.attempt
            assert record.offered >= seq
            self.begun[group.name].add(seq)
            consumer.held.add(seq)

    def is_for(self, name: str, seq: int, key: str) -> bool:
        """Return True if a group gets a message, by its bindings now or when the message was sent."""
        if self.ack == "any":
            return self.wants(name, key)
        return seq not in self.unwanted[name] or self.changes > MAX_EARLIER

    def wants(self, name: str, key: str) -> bool:
        return Bindings(self.bound[name]).matches(key)

    # --- what the program does

    @rule(some=st.lists(keys, min_size=1, max_size=10), size=st.integers(0, 30), wait=st.booleans())
    def send(self, some: list[str], size: int, *, wait: bool) -> None:
        for key in some:
            self.loop.do(self._send(key, size, wait=wait))
        self.settle()

    async def _send(self, key: str, size: int, *, wait: bool) -> None:
        scheduler = self.scheduler
        held = scheduler.intake.count + scheduler.intake.dead + scheduler.intake.unwritten
        try:
            seq = scheduler.intake.add(key, b"", b"x" * size, 0)
        except StreamFullError:
            assert self.limits.full == "reject"
            assert held >= self.limits.max_messages or scheduler.intake.size > self.limits.max_bytes - 3000
        except StoreError:
            assert scheduler.intake.error is not None
        else:
            assert self.limits.full != "reject" or held < self.limits.max_messages
            assert seq not in self.stored
            listening = {name for name in scheduler.groups.known if self.wants(name, key)}
            self.audience[seq] = listening & set(DECLARED)
            if not listening:
                self.unheard[seq] = key
            for name in scheduler.groups.known.keys() - listening:
                self.unwanted[name].add(seq)
            scheduler.wake()
            if wait:
                self.waiting.append((seq, scheduler.writer.written(seq)))

    @rule()
    def hold_the_store(self) -> None:
        self.held = True

    @precondition(lambda self: self.held)
    @rule()
    def let_go_of_the_store(self) -> None:
        self.held = False
        self.settle()

    @precondition(lambda self: self.held)
    @rule(count=st.integers(1, 3), fail=st.booleans())
    def let_the_store_work(self, count: int, *, fail: bool) -> None:
        self.loop.do(self._let_the_store_work(count, fail=fail))
        self.settle()

    async def _let_the_store_work(self, count: int, *, fail: bool) -> None:
        for _ in range(count):
            self.store.step(fail=fail)
            await asyncio.sleep(0)
            await asyncio.sleep(0)

    @rule(last_was_done=st.booleans())
    def kill_and_restart(self, *, last_was_done: bool) -> None:
        self.store.die(last_was_done=last_was_done)
        self.scheduler.close(ClosedError("killed"))
        self.consumers.clear()
        self.settle()
        self.look_at_waiting()
        self.refused.clear()  # who sent them was not given their numbers, which are used again
        self.dead_letters_rise_or_stay()
        self.rising.clear()
        self.purged.clear()
        self.audience.clear()
        for unwanted in self.unwanted.values():
            unwanted.intersection_update(self.stored)
        self.unheard = {seq: key for seq, key in self.unheard.items() if seq in self.stored}
        self.start()

    @rule(step=st.sampled_from([0.0, 0.3, 1.5, 11.0, 31.0]))
    def let_time_pass(self, step: float) -> None:
        self.loop.now += step
        self.settle()

    # --- what consumers do

    @rule(name=groups, prefetch=st.integers(1, 4))
    def join_one(self, name: str, prefetch: int) -> None:
        self.join(name, prefetch)

    def join(self, name: str, prefetch: int) -> None:
        self.loop.do(self._join(name, prefetch))
        self.settle()

    async def _join(self, name: str, prefetch: int) -> None:
        self.born += 1
        identity = b"c%d" % self.born
        durable = name in DECLARED
        if name not in self.scheduler.groups.known:
            self.is_new(name)
        group = self.scheduler.groups.join(name, identity, prefetch, self.bindings[name], durable=durable)
        self.is_bound(name, self.bindings[name])
        self.consumers[identity] = Consumer(identity, group)

    @precondition(lambda self: self.consumers)
    @rule(data=st.data(), bindings=st.sampled_from(OTHERS))
    def rebind(self, data: st.DataObject, bindings: tuple[str, ...]) -> None:
        consumer = self.some_consumer(data)
        group = consumer.group
        if consumer.broken or not self.scheduler.groups.retention.has(group):
            return
        begun = self.some_held(data, consumer) if consumer.held else set()
        for seq in set(group.queue.in_flight_of(consumer.identity)) - begun:
            if not group.queue.messages[seq].redelivered:
                self.begun[group.name].discard(seq)
        consumer.held = begun

        def act() -> None:
            self.scheduler.groups.rejoin(group, consumer.identity, 3, bindings, begun | {999})
            self.is_bound(group.name, bindings)

        self.in_loop(act)

    def is_bound(self, name: str, bindings: tuple[str, ...]) -> None:
        self.changes += self.bound[name] != bindings
        self.bound[name] = bindings
        for seq, key in list(self.unheard.items()):
            if self.wants(name, key):
                del self.unheard[seq]

    def some_consumer(self, data: st.DataObject) -> Consumer:
        return self.consumers[data.draw(st.sampled_from(sorted(self.consumers)))]

    @precondition(lambda self: self.consumers)
    @rule(data=st.data(), lost=st.booleans())
    def leave(self, data: st.DataObject, *, lost: bool) -> None:
        consumer = self.some_consumer(data)
        self.in_loop(lambda: self.lose(consumer, lost=lost))

    def lose(self, consumer: Consumer, *, lost: bool = True) -> None:
        del self.consumers[consumer.identity]
        before = self.graves(consumer.group)
        self.scheduler.groups.leave(consumer.group, consumer.identity, "it is gone", lost=lost)
        self.count_graves(consumer.group, before)

    @precondition(lambda self: self.consumers)
    @rule(data=st.data())
    def cut(self, data: st.DataObject) -> None:
        self.some_consumer(data).broken = True

    @precondition(lambda self: self.consumers)
    @rule(data=st.data(), all_of_it=st.booleans())
    def acknowledge(self, data: st.DataObject, *, all_of_it: bool) -> None:
        consumer = self.some_consumer(data)
        if consumer.held:
            seqs = consumer.held if all_of_it else self.some_held(data, consumer)
            self.acknowledge_by(consumer, to_ranges(seqs))

    @precondition(lambda self: self.consumers)
    @rule(data=st.data(), first=st.integers(1, 20), length=st.integers(0, 3) | st.just(2**63))
    def acknowledge_anything(self, data: st.DataObject, first: int, length: int) -> None:
        self.acknowledge_by(self.some_consumer(data), [(first, first + length)])

    def acknowledge_by(self, consumer: Consumer, ranges: list[Range]) -> None:
        group = consumer.group

        def act() -> None:
            before = {seq for seq in group.queue.messages if any(low <= seq <= high for low, high in ranges)}
            self.scheduler.acknowledge(group, ranges)
            done = before - set(group.queue.messages)
            self.handled[group.name] |= done
            self.acknowledged[group.name] |= done

        self.in_loop(act)
        consumer.held = {seq for seq in consumer.held if not any(low <= seq <= high for low, high in ranges)}

    def some_held(self, data: st.DataObject, consumer: Consumer) -> set[int]:
        return set(data.draw(st.lists(st.sampled_from(sorted(consumer.held)), max_size=3, unique=True)))

    @precondition(lambda self: self.consumers)
    @rule(data=st.data(), delay_ms=st.sampled_from([0, 500, 20_000]))
    def nack(self, data: st.DataObject, delay_ms: int) -> None:
        consumer = self.some_consumer(data)
        if consumer.held:
            for seq in self.some_held(data, consumer):
                self.nack_by(consumer, seq, delay_ms)

    def nack_by(self, consumer: Consumer, seq: int, delay_ms: int) -> None:
        before = self.graves(consumer.group)
        settlement = Settlement(seq, SettlementOutcome.NACK, delay_ms, Failure("it failed"))
        self.in_loop(partial(self.scheduler.nack, consumer.group, consumer.identity, settlement))
        self.count_graves(consumer.group, before)
        consumer.held.discard(seq)

    @precondition(lambda self: self.consumers)
    @rule(data=st.data())
    def give_back(self, data: st.DataObject) -> None:
        consumer = self.some_consumer(data)
        if consumer.held:
            self.give_back_by(consumer, self.some_held(data, consumer))

    def give_back_by(self, consumer: Consumer, seqs: set[int]) -> None:
        group = consumer.group
        for seq in seqs:
            entry = group.queue._held_by(consumer.identity, seq)
            if entry is not None and not entry.redelivered:
                self.begun[group.name].discard(seq)
        consumer.held -= seqs
        self.in_loop(lambda: self.scheduler.requeue(group, consumer.identity, sorted(seqs)))

    @rule(fates=st.lists(st.sampled_from(["ack", "ack", "nack", "return", "die", "keep"]), min_size=5))
    def everybody_does_something(self, fates: list[str]) -> None:
        coming = cycle(fates)
        for consumer in list(self.consumers.values()):
            for seq in sorted(consumer.held):
                fate = next(coming)
                if seq not in consumer.held or consumer.identity not in self.consumers:
                    break
                if fate == "ack":
                    self.acknowledge_by(consumer, [(seq, seq)])
                elif fate == "nack":
                    self.nack_by(consumer, seq, 0)
                elif fate == "return":
                    self.give_back_by(consumer, {seq})
                elif fate == "die":
                    self.in_loop(partial(self.lose, consumer))

    @precondition(lambda self: self.consumers)
    @rule(data=st.data())
    def say_something(self, data: st.DataObject) -> None:
        consumer = self.some_consumer(data)

        def speak() -> None:
            self.scheduler.mark_alive(consumer.group, consumer.identity)
            self.scheduler.extend_deadlines(consumer.group, consumer.identity, sorted(consumer.held))

        self.in_loop(speak)

    def in_loop(self, action: Callable[[], Any]) -> None:
        self.in_loop_only(action)
        self.settle()

    def graves(self, group: StreamGroup) -> set[int]:
        """Return the messages that may die: those that were delivered."""
        entries = group.queue.messages.items()
        return {seq for seq, entry in entries if entry.attempt or entry.redelivered}

    def count_graves(self, group: StreamGroup, before: set[int]) -> None:
        """Note messages that left the queue by failure as dead, except those that may be wanted again."""
        self.dead_now[group.name] |= before - group.queue.messages.keys() - group.attempts.keys()

    # --- what users do

    @rule(name=groups)
    def forget(self, name: str) -> None:
        group = self.scheduler.groups.known.get(name)
        if group is None or not group.present:  # as Stream.forget sees to
            self.in_loop(lambda: self.scheduler.groups.forget(name))
            self.owed[name].clear()
            for audience in self.audience.values():
                audience.discard(name)
            self.is_new(name)

    def is_new(self, name: str) -> None:
        """The group that a name stands for has had nothing yet."""
        self.bound[name] = self.bindings[name]
        for kept in (self.begun, self.acknowledged, self.dead_now, self.unwanted):
            kept[name].clear()

    @precondition(lambda self: self.disk._dead)
    @rule(data=st.data(), again=st.booleans())
    def resurrect_or_purge(self, data: st.DataObject, *, again: bool) -> None:
        seq, name = data.draw(st.sampled_from(sorted(self.disk._dead)))
        letter = self.disk._dead[seq, name]
        if (seq, name) in self.purged or (seq, name) in self.rising.values():
            return
        if again and (name not in self.scheduler.groups.known or self.scheduler.intake.error is not None):
            return

        def act() -> None:
            if again:
                message = letter.message
                number = self.scheduler.intake.add(message.key, b"", message.payload, 0, replaces=(name, seq))
                self.rising[number] = seq, name
                self.audience[number] = {name} & set(DECLARED)  # another one may be gone by then
                self.scheduler.wake()
            else:
                self.purged.add((seq, name))
                self.scheduler.writer.remove_dead_letter(name, seq)

        self.in_loop(act)

    # --- what always holds

    def look_at_waiting(self) -> None:
        for seq, future in self.waiting:
            if future.done():
                error = future.exception()
                if error is None:
                    assert seq in self.stored
                elif isinstance(error, StoreError):
                    assert seq not in self.stored
                    self.refused.add(seq)
        self.waiting = [(seq, future) for seq, future in self.waiting if not future.done()]

    @invariant()
    def who_waits_is_told_the_truth(self) -> None:
        if "waiting" in self.__dict__:
            self.look_at_waiting()

    @invariant()
    def nothing_that_is_owed_is_lost(self) -> None:
        there = set(self.disk._messages)
        if self.__dict__.get("ack") == "any":
            settled = set().union(*self.handled.values(), *self.buried.values())
            gone = settled | self.let_go | self.returned
            assert self.stored - gone <= there | self.forgotten_by_all()
        else:
            for name, owed in self.owed.items():
                assert owed - self.handled[name] - self.buried[name] - self.let_go <= there

    @invariant()
    def nothing_that_nobody_wants_is_gone_before_it_is_returned(self) -> None:
        if self.__dict__.get("grace_s") is not None:
            kept = self.disk._messages.keys() | self.returned | self.let_go
            assert self.unheard.keys() & self.stored <= kept

    def forgotten_by_all(self) -> set[int]:
        """Return the messages that were only for a group forgotten since."""
        return self.stored - set().union(*self.owed.values())

    @invariant()
    def dead_letters_rise_or_stay(self) -> None:
        for number in list(self.rising):
            if number in self.stored:
                del self.rising[number]
            else:
                assert self.rising[number] in self.disk._dead

    @invariant()
    def the_store_counts_right(self) -> None:
        disk = self.disk
        kept = [*disk._messages.values(), *(letter.message for letter in disk._dead.values())]
        assert disk._size == sum(map(size_of, kept))
        if "scheduler" in self.__dict__ and not self.store.jobs:
            counts = (
                self.scheduler.intake.count,
                self.scheduler.intake.size,
                self.scheduler.intake.dead,
            )
            assert counts == (len(disk._messages), disk._size, len(disk._dead))
            if self.limits.full == "drop-oldest":
                assert len(disk._messages) <= self.limits.max_messages

    @invariant()
    def consumers_have_no_more_than_the_scheduler_counts(self) -> None:
        for group in self.scheduler.groups.known.values() if "scheduler" in self.__dict__ else ():
            assert group.queue.in_flight == sum(member.in_flight for member in group.queue.members.values())
            if not (self.store.jobs or self.scheduler.writer._after_commit):
                assert len(group.held) == 0

    def teardown(self) -> None:
        """Consumers that do what they should get everything, and then nothing is left."""
        try:
            if "scheduler" in self.__dict__:
                self.loop.do(self._finish())
                self.check_the_end()
                self.scheduler.close(ClosedError("the test is over"))
                self.settle()
        finally:
            self.loop.close()
            self.patch.undo()

    async def _finish(self) -> None:
        for consumer in list(self.consumers.values()):
            self.lose(consumer)
        for name in BINDINGS if self.ack == "any" else {*self.scheduler.groups.known, "g"}:
            await self._join(name, 3)
        await self.work_until(self.scheduler.writer.drained())
        for seq, name in list(self.disk._dead):
            self.scheduler.writer.remove_dead_letter(name, seq)
        await self.work_until(self.scheduler.writer.synced())

    async def work_until(self, end: Coroutine[Any, Any, None]) -> None:
        """Let the store, consumers and time do what they do, until the end, which must not be far."""
        ended = asyncio.ensure_future(end)
        for _ in range(40 * (len(self.stored) + self.scheduler.intake.unwritten) + 100):
            await self._let_the_store_work(len(self.store.jobs), fail=False)
            if ended.done() and not any(
                group.queue.messages for group in self.scheduler.groups.known.values()
            ):
                break
            if not sum(self.work_off(consumer) for consumer in list(self.consumers.values())):
                timer = self.loop.next_timer()
                if timer is not None and not self.store.jobs:
                    self.loop.now = max(timer, self.loop.now)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        if not ended.done():
            ended.cancel()
            raise AssertionError(f"it does not end, with {self.scheduler.intake.count} messages left")
        await ended

    def work_off(self, consumer: Consumer) -> bool:
        """Acknowledge what a consumer has; whether it had anything."""
        held, consumer.held = consumer.held, set()
        if held:
            self.handled[consumer.group.name] |= held & set(consumer.group.queue.messages)
            self.scheduler.acknowledge(consumer.group, to_ranges(held))
        return bool(held)

    def check_the_end(self) -> None:
        disk, scheduler = self.disk, self.scheduler
        assert scheduler.intake.empty
        assert (len(disk._messages), len(disk._dead), disk._size, len(disk._attempts)) == (0, 0, 0, 0)
        counts = (
            scheduler.intake.count,
            scheduler.intake.size,
            scheduler.intake.dead,
            scheduler.intake.unwritten,
        )
        assert counts == (0, 0, 0, 0)
        assert scheduler.intake.error is None
        for group in scheduler.groups.known.values():
            assert (len(group.queue.messages), group.queue.size, len(group.held)) == (0, 0, 0)
        for name, owed in self.owed.items():
            missing = owed - self.handled[name] - self.buried[name] - self.let_go
            if self.ack == "any":
                missing -= set().union(self.returned, *self.handled.values(), *self.buried.values())
            assert not missing, name


TestKeeping = Keeping.TestCase
TestKeeping.settings = settings(max_examples=200, stateful_step_count=60, deadline=None)

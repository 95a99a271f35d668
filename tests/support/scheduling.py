"""Support for tests of the scheduler: a loop with a clock of its own, and a store that works on demand."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from colugo.errors import ClosedError, StoreError
from colugo.patterns.streams.delivery_scheduler import DeliveryScheduler
from colugo.patterns.streams.group import StreamGroup
from colugo.patterns.streams.intake import StreamLimits
from colugo.patterns.streams.retention import AckPolicy
from colugo.protocol.streams.attempts import DeliveryRules, GroupMember, QueuedMessage
from colugo.protocol.streams.settlements import Settlement, SettlementOutcome
from colugo.store import CommitOutcome, Committed, DeadQuery, OpenedStore, Read, ReadDead, Transaction
from colugo.store.memory_store import MemoryStore

NS = 1_000_000_000


class OwnTimeLoop(asyncio.SelectorEventLoop):
    """A loop whose time is `now`, and whose callbacks' exceptions are raised by `do`."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1_000_000.0
        self.errors: list[BaseException] = []
        self.set_exception_handler(self._on_error)

    def time(self) -> float:
        return self.now

    def turns(self, count: int = 4) -> None:
        """Run all ready callbacks, and those that they schedule."""

        async def pass_by() -> None:
            for _ in range(count):
                await asyncio.sleep(0)

        self.do(pass_by())

    def do(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine; raise the first exception of a callback, or its own."""
        try:
            self.run_until_complete(coroutine)
        finally:
            if self.errors:  # the coroutine's own error may be a consequence
                raise self.errors.pop(0)

    def _on_error(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self.errors.append(context.get("exception") or AssertionError(context["message"]))

    def next_timer(self) -> float | None:
        """Return the time of the next timer."""
        timers = [handle.when() for handle in self._scheduled if not handle.cancelled()]  # type: ignore[attr-defined]
        return min(timers, default=None)


def runtime_on(loop: OwnTimeLoop) -> Any:
    """Return as much of a node's runtime as a scheduler uses."""
    return SimpleNamespace(loop=loop, logger=logging.getLogger("scheduler"), name="scheduler")


class Disk(MemoryStore):
    """A store that outlives its program: it can be opened again."""

    def open(self) -> OpenedStore:
        self._open = True
        groups = [replace(record) for record in self._groups.values()]
        tries = dict(self._attempts)
        counts = len(self._messages), self._size, len(self._dead)
        return OpenedStore(self._stream_id, self._last_seq, *counts, groups, tries, 0)

    def close(self) -> None:
        pass


class SlowStore:
    """A store that does one job after another on a disk, each on demand.

    Args:
        disk: keeps the messages.
        on_commit: called with each committed transaction, and its outcome.
    """

    def __init__(self, disk: Disk, on_commit: Callable[[Transaction, CommitOutcome], None]) -> None:
        self.on_corrupt: Callable[[list[int]], None] | None = None
        self.jobs: deque[tuple[Callable[[], Any], Callable[[Any], None]]] = deque()
        self._disk = disk
        self._on_commit = on_commit
        self._dead = False

    def open(self) -> OpenedStore:
        return self._disk.open()

    def commit(self, transaction: Transaction, done: Committed) -> None:
        if not self._dead:
            self.jobs.append((lambda: self._commit(transaction), done))

    def read(self, after: int, limit: int, max_bytes: int, done: Read) -> None:
        self.jobs.append((lambda: _result(self._disk.read, after, limit, max_bytes), done))

    def get(self, seqs: list[int], done: Read) -> None:
        self.jobs.append((lambda: _result(self._disk.get, seqs), done))

    def dead_letters(self, query: DeadQuery, done: ReadDead) -> None:
        self.jobs.append((lambda: _result(self._disk.dead_letters, query), done))

    def step(self, *, fail: bool = False) -> None:
        """Do the next job, or fail it."""
        if self.jobs:
            job, done = self.jobs.popleft()
            done(StoreError("no room on the disk") if fail else job())

    def die(self, *, last_was_done: bool) -> None:
        """End the program, perhaps after the next job but before its callback."""
        if self.jobs and last_was_done:
            self.jobs[0][0]()
        self.jobs.clear()
        self._dead = True

    async def aclose(self) -> None:
        self.close()

    def close(self) -> None:
        self.jobs.clear()

    def _commit(self, transaction: Transaction) -> CommitOutcome:
        outcome: CommitOutcome = _result(self._disk.commit, transaction)
        self._on_commit(transaction, outcome)
        return outcome


def _result(method: Callable[..., None], *arguments: Any) -> Any:
    results: list[Any] = []
    method(*arguments, results.append)
    (result,) = results
    assert not isinstance(result, StoreError), result
    return result


class Producer:
    """A scheduler whose store works by itself, unless `held` or `failing` is set."""

    def __init__(
        self,
        loop: OwnTimeLoop,
        disk: Disk | None = None,
        ack: AckPolicy = "all",
        grace_s: float | None = None,
        **limits: Any,
    ) -> None:
        self.loop = loop
        self.disk = disk or Disk()
        self.transactions: list[Transaction] = []
        self.got: list[tuple[bytes, int, bool]] = []
        self.returned: list[int] = []
        self.held = self.failing = False
        self.attempts = 0
        self._grace_s = grace_s
        self._limits = StreamLimits(
            limits.get("max_messages", 1000),
            limits.get("max_bytes", 10**6),
            None,
            limits.get("full", "reject"),
        )
        self._ack: AckPolicy = ack
        self.do(self._start)

    def _start(self) -> None:
        self.store = SlowStore(self.disk, self._on_commit)
        self.scheduler = DeliveryScheduler(
            runtime_on(self.loop),
            self.store,
            self.store.open(),
            ack=self._ack,
            limits=self._limits,
            rules=DeliveryRules(max_deliver=2, ack_timeout_s=30.0, retry_delay_s=1.0),
        )
        if self._grace_s is not None:
            self.scheduler.return_unrouted(self._grace_s, lambda message: self.returned.append(message.seq))
        self.scheduler.open(self)

    def _on_commit(self, transaction: Transaction, outcome: CommitOutcome) -> None:
        self.transactions.append(transaction)

    def deliver(self, member: GroupMember, entries: list[QueuedMessage]) -> None:
        self.got += [(member.identity, entry.message.seq, entry.redelivered) for entry in entries]

    def ping(self, member: GroupMember) -> None:
        """Ignore the ping: these members stay silent."""

    def do(self, action: Callable[[], Any]) -> Any:
        """Call an action on the loop, and run what it schedules."""
        results: list[Any] = []

        async def act() -> None:
            results.append(action())

        self.loop.do(act())
        self.settle()
        return results[0]

    def settle(self) -> None:
        self.loop.turns()
        while self.store.jobs and not self.held:
            self.loop.do(self._step())
            self.loop.turns()

    async def _step(self) -> None:
        self.attempts += 1
        self.store.step(fail=self.failing)

    def pass_time(self, seconds: float) -> None:
        """Advance the clock in steps of 0.1 s."""
        for _ in range(round(seconds * 10)):
            self.loop.now += 0.1
            self.settle()

    def let_go(self) -> None:
        self.held = self.failing = False
        self.settle()

    def send(self, count: int = 1, payload: bytes = b"x", key: str = "") -> list[int]:
        def act() -> list[int]:
            seqs = [self.scheduler.intake.add(key, b"", payload, 0) for _ in range(count)]
            self.scheduler.wake()
            return seqs

        seqs: list[int] = self.do(act)
        return seqs

    def join(
        self, name: str, identity: bytes, bindings: tuple[str, ...] = ("#",), *, durable: bool = True
    ) -> StreamGroup:
        group: StreamGroup = self.do(
            lambda: self.scheduler.groups.join(name, identity, 10, bindings, durable=durable)
        )
        return group

    def leave(self, group: StreamGroup, identity: bytes, *, lost: bool = True) -> None:
        self.do(lambda: self.scheduler.groups.leave(group, identity, "it is gone", lost=lost))

    def acknowledge(self, group: StreamGroup, first: int, last: int) -> None:
        self.do(lambda: self.scheduler.acknowledge(group, [(first, last)]))

    def nack(self, group: StreamGroup, identity: bytes, seq: int, delay_ms: int = 0) -> None:
        self.do(
            lambda: self.scheduler.nack(group, identity, Settlement(seq, SettlementOutcome.NACK, delay_ms))
        )

    def end(self) -> None:
        self.do(lambda: self.scheduler.close(ClosedError("the test is over")))

    def restarted(self) -> "Producer":
        """Return a new producer on the same disk."""
        self.store.die(last_was_done=False)
        self.end()
        return Producer(self.loop, self.disk, self._ack, self._grace_s)

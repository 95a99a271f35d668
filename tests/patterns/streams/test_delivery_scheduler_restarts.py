"""A scheduler on a real file: its program is killed again and again, and consumers with it."""

import asyncio
import logging
import random
import shutil
import sqlite3
from collections import Counter, defaultdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from colugo.errors import ClosedError
from colugo.patterns.streams.delivery_scheduler import DeliveryScheduler
from colugo.patterns.streams.group import StreamGroup
from colugo.patterns.streams.intake import StreamLimits
from colugo.patterns.streams.retention import AckPolicy
from colugo.protocol.streams.attempts import DeliveryRules, GroupMember, QueuedMessage
from colugo.protocol.streams.ranges import to_ranges
from colugo.protocol.streams.settlements import Settlement, SettlementOutcome
from colugo.store.sqlite.sqlite_store import SqliteStore
from tests.support.essentials import run, seconds

GROUPS = ("billing", "stock")
LIMITS = StreamLimits(1_000_000, 2**30, None, "reject")
RULES = DeliveryRules(max_deliver=1000, ack_timeout_s=30.0, retry_delay_s=0.0)
LIVES = 6


class Life:
    """A producer from its start until it is killed, with consumers that do what chance says."""

    def __init__(self, path: Path, world: "World") -> None:
        self._world = world
        self._chance = world.chance
        self._path = path
        self._store = SqliteStore(path, durability="os", logger=logging.getLogger("scheduler"))
        loop = asyncio.get_running_loop()
        runtime: Any = SimpleNamespace(loop=loop, logger=logging.getLogger("scheduler"), name="scheduler")
        self.scheduler = DeliveryScheduler(
            runtime,
            self._store,
            self._store.open(),
            ack=world.ack,
            limits=LIMITS,
            rules=RULES,
        )
        for name in GROUPS:
            if name not in self.scheduler.groups.known:
                self.scheduler.groups.make_group(name, ("#",), durable=True)
        self.scheduler.open(self)
        self._groups: dict[bytes, StreamGroup] = {}
        self._born = 0
        for name in GROUPS * 2:
            self._join(name)

    def _join(self, name: str) -> None:
        self._born += 1
        identity = b"%d" % self._born
        self._groups[identity] = self.scheduler.groups.join(name, identity, 20, ("#",), durable=True)

    def deliver(self, member: GroupMember, entries: list[QueuedMessage]) -> None:
        world, group = self._world, self._groups[member.identity]
        for entry in entries:
            payload = entry.message.payload
            assert entry.redelivered or payload not in world.handed_out[group.name]
            world.handed_out[group.name].add(payload)
        asyncio.get_running_loop().call_soon(self._handle, group, member, entries)

    def ping(self, member: GroupMember) -> None:
        pass

    def _handle(self, group: StreamGroup, member: GroupMember, entries: list[QueuedMessage]) -> None:
        """A consumer handles messages, refuses or returns some, or dies with them."""
        if member.identity not in self._groups:
            return
        if self._chance.random() < 0.02:
            del self._groups[member.identity]
            self.scheduler.groups.leave(group, member.identity, "killed", lost=True)
            self._join(group.name)
            return
        fates: dict[str, list[int]] = defaultdict(list)
        for entry in entries:
            fate = self._chance.choices(["ack", "nack", "return"], [90, 5, 5])[0]
            fates[fate].append(entry.message.seq)
            if fate == "ack":
                self._world.handled[group.name][entry.message.payload] += 1
            elif fate == "return" and not entry.redelivered:
                self._world.handed_out[group.name].discard(entry.message.payload)
        if fates["ack"]:
            self.scheduler.acknowledge(group, to_ranges(fates["ack"]))
        for seq in fates["nack"]:
            self.scheduler.nack(group, member.identity, Settlement(seq, SettlementOutcome.NACK, 0))
        if fates["return"]:  # as a consumer does that is about to leave
            self.scheduler.requeue(group, member.identity, fates["return"])
            del self._groups[member.identity]
            self.scheduler.groups.leave(group, member.identity, "left", lost=False)
            self._join(group.name)

    async def send(self, count: int) -> None:
        """Send messages; those of which that is confirmed are owed."""
        for _ in range(count):
            payload = b"%d" % len(self._world.sent)
            self._world.sent.append(payload)
            seq = self.scheduler.intake.add(self._chance.choice(["", "a", "b"]), b"", payload, 0)
            self.scheduler.wake()
            if self._chance.random() < 0.3:
                await self.scheduler.writer.written(seq)
                self._world.confirmed.add(payload)

    def image(self, folder: Path) -> Path:
        """The file as a crash at this moment would leave it."""
        folder.mkdir()
        for path in self._path.parent.glob(f"{self._path.name}*"):
            if "reserve" not in path.name:
                shutil.copy(path, folder / path.name)
        return folder / self._path.name

    async def end(self) -> None:
        self.scheduler.close(ClosedError("killed"))
        await self._store.aclose()


class World:
    """The state outside the producer, which survives its restarts."""

    def __init__(self, seed: int, ack: AckPolicy) -> None:
        self.chance = random.Random(seed)
        self.ack: AckPolicy = ack
        self.sent: list[bytes] = []
        self.confirmed: set[bytes] = set()
        self.handed_out: dict[str, set[bytes]] = defaultdict(set)
        self.handled: dict[str, Counter[bytes]] = defaultdict(Counter)


@pytest.mark.slow
@pytest.mark.parametrize("ack", ["all", "any"])
@pytest.mark.parametrize("seed", range(4))
def test_what_was_confirmed_is_handled_though_the_producer_is_killed_again_and_again(
    ack: AckPolicy, seed: int, tmp_path: Path
) -> None:
    async def main() -> Path:
        world = World(seed, ack)
        path = tmp_path / "life 0" / "jobs.db"
        path.parent.mkdir()
        for number in range(1, LIVES + 1):
            life = Life(path, world)
            await life.send(world.chance.randrange(300))
            for _ in range(world.chance.randrange(30)):
                await asyncio.sleep(0)
            path = life.image(tmp_path / f"life {number}")
            await life.end()
        life = Life(path, world)
        await life.send(50)
        async with asyncio.timeout(seconds(20)):
            await life.scheduler.writer.drained()
            await life.scheduler.writer.synced()
        by_group = [set(world.handled[name]) for name in GROUPS]
        if ack == "all":
            assert all(world.confirmed <= handled for handled in by_group)
        else:
            assert world.confirmed <= set().union(*by_group)
        assert life.scheduler.intake.empty
        assert (
            not any(group.queue.in_flight for group in life.scheduler.groups.known.values()) or ack == "any"
        )
        await life.end()
        return path

    path = run(main(), within=60)
    connection = sqlite3.connect(path)
    try:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        for table in ("messages", "dead", "attempts"):
            assert connection.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,), table
    finally:
        connection.close()

"""What the processes of a soak do: `python -m tools.soak.roles OPTIONS`, with options in JSON.

They are told what to do line by line on standard input: `enough` (send no more), `state` (record what you
know of yourself); at its end they end.
"""

import asyncio
import dataclasses
import json
import logging
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from colugo import Node
from colugo.errors import StreamFullError
from colugo.patterns.consumed import Delivery
from tools.soak.payloads import make_payload, read_label
from tools.soak.records import CONFIRMED, DAMAGED, DRAINED, ENDED, FULL, HANDLED, STATE, Recorder

TOPIC = "soak"
MAX_DELIVER = 1000
"""A kill may make a dead letter of a message that its consumer had alone, after the second time by default.

That is what `max_deliver` promises, and no loss. Here so many are killed that some messages meet it; they
are to be handled in the end all the same.
"""
_KEYS = 20
_AT_A_TIME = 50
_ROOM_S = 0.02
_CONCURRENCY = 4
_BUSY_S = 0.003
"""How long a callback takes at most."""


@dataclasses.dataclass(frozen=True)
class Options:
    """What a process is to do.

    Attributes:
        role: `producer` or `consumer`.
        name: of the process: its files and its node are called so.
        life: how often it was started before.
        folder: for its files.
        seed: for what it does at random.
        group: of a consumer.
        number: of a consumer in its group.
        groups: that a producer declares.
        rate: how many messages a producer sends in a second, on the average.
        max_messages: how many its stream holds.
    """

    role: str
    name: str
    life: int
    folder: str
    seed: int
    group: str = ""
    number: int = 0
    groups: list[str] = dataclasses.field(default_factory=list)
    rate: float = 0.0
    max_messages: int = 0

    @property
    def store(self) -> Path:
        """The file of a producer's stream."""
        return store_path(Path(self.folder), self.name)


def store_path(folder: Path, name: str) -> Path:
    """Where a process has its store."""
    return folder / f"{name}.store"


def records_path(folder: Path, name: str) -> Path:
    """Where a process writes its records."""
    return folder / f"{name}.records"


class Role(Protocol):
    """What a process does."""

    async def play(self) -> None:
        """Do it until cancelled."""

    def enough(self) -> None:
        """Send no more."""

    def state(self) -> dict[str, Any]:
        """What it knows of itself."""


class Producer:
    """Sends messages in bursts, some of which are larger than its stream.

    Args:
        node: its node.
        options: of the process.
        recorder: for its records.
    """

    def __init__(self, node: Node, options: Options, recorder: Recorder) -> None:
        self._options = options
        self._recorder = recorder
        self._random = random.Random(f"{options.seed} {options.name} {options.life}")
        self._enough = asyncio.Event()
        self._numbers = 0
        self._stream = node.add_stream(
            TOPIC,
            store=options.store,
            groups=options.groups,
            max_messages=options.max_messages,
            max_deliver=MAX_DELIVER,
        )

    def enough(self) -> None:
        """Send no more."""
        self._enough.set()

    def state(self) -> dict[str, Any]:
        """What the stream knows of itself and its groups."""
        groups = {name: dataclasses.asdict(group) for name, group in self._stream.groups.items()}
        return dataclasses.asdict(self._stream.stats) | {"groups": groups}

    async def play(self) -> None:
        """Send until it is enough; then wait until all has been acknowledged."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while not self._enough.is_set():
            burst = self._random.randint(1, 2 * self._options.max_messages)
            for begin in range(0, burst, _AT_A_TIME):
                await asyncio.gather(*(self._send() for _ in range(min(_AT_A_TIME, burst - begin))))
            due = max(due, loop.time() - 1) + burst / self._options.rate
            await self._rest(due - loop.time())
        await self._stream.drained()
        self._recorder.add(DRAINED)

    async def _rest(self, duration_s: float) -> None:
        if duration_s > 0:
            await asyncio.wait([asyncio.ensure_future(self._enough.wait())], timeout=duration_s)

    async def _send(self) -> None:
        """Have one message confirmed, however long the stream is full, and record that."""
        self._numbers += 1
        label = f"{self._options.name}.{self._options.life}.{self._numbers}"
        key = self._random.choice(["", f"key.{self._random.randrange(_KEYS)}"])
        waited = False
        while True:
            try:
                message_id = await self._stream.send_wait(make_payload(label), key)
            except StreamFullError:
                if not waited:
                    self._recorder.add(FULL)
                waited = True
                if self._enough.is_set():
                    return
                await asyncio.sleep(_ROOM_S)
            else:
                self._recorder.add(CONFIRMED, message_id, label)
                return


class Consumer:
    """Records what it is given, and takes a while to return, so that a kill finds it at work.

    Args:
        node: its node.
        options: of the process.
        recorder: for its records.
    """

    def __init__(self, node: Node, options: Options, recorder: Recorder) -> None:
        self._recorder = recorder
        self._random = random.Random(f"{options.seed} {options.name} {options.life}")
        # One way of calling back each, in turn.
        if options.number % 2:
            self._consumer = node.add_consumer(
                TOPIC, self._handle_slowly, group=options.group, concurrency=_CONCURRENCY
            )
        else:
            self._consumer = node.add_consumer(TOPIC, self._handle, group=options.group)

    async def play(self) -> None:
        """Nothing besides."""

    def enough(self) -> None:
        """Nothing is sent."""

    def state(self) -> dict[str, Any]:
        """What the consumer has had."""
        return dataclasses.asdict(self._consumer.stats)

    def _handle(self, message: object, delivery: Delivery) -> None:
        self._record(message, delivery)
        time.sleep(self._random.uniform(0, _BUSY_S))

    async def _handle_slowly(self, message: object, delivery: Delivery) -> None:
        self._record(message, delivery)
        await asyncio.sleep(self._random.uniform(0, _CONCURRENCY * _BUSY_S))

    def _record(self, message: object, delivery: Delivery) -> None:
        label = read_label(message)
        if label is None:
            self._recorder.add(DAMAGED, delivery.id, repr(message)[:100])
        else:
            self._recorder.add(HANDLED, delivery.id, label, delivery.redelivered, delivery.attempt)


ROLES: dict[str, Callable[[Node, Options, Recorder], Role]] = {"producer": Producer, "consumer": Consumer}


async def run(options: Options) -> None:
    """Play a role until standard input ends."""
    recorder = Recorder(records_path(Path(options.folder), options.name))
    async with Node(options.name) as node, asyncio.TaskGroup() as tasks:
        role = ROLES[options.role](node, options, recorder)
        playing = tasks.create_task(role.play(), name="role")
        async for line in await _told():
            if line.strip() == b"enough":
                role.enough()
            else:
                recorder.add(STATE, role.state() | {"callback_errors": node.callback_errors})
        playing.cancel()
        recorder.add(ENDED, role.state() | {"callback_errors": node.callback_errors})


async def _told() -> asyncio.StreamReader:
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    return lines


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    asyncio.run(run(Options(**json.loads(sys.argv[1]))))

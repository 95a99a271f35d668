"""Producers and consumers of a soak."""

import asyncio
import dataclasses
import random
import time
from typing import Any

from colugo import Node
from colugo.errors import StreamFullError
from colugo.patterns.streams.consuming.delivery import Delivery
from tools.soak.base import OnNode
from tools.soak.bursts import bursts, send_all
from tools.soak.options import MAX_DELIVER, TOPIC, Options
from tools.soak.payloads import make_payload, read_label
from tools.soak.records import CONFIRMED, DAMAGED, DRAINED, FULL, HANDLED, Recorder

_KEYS = 20
_AT_A_TIME = 50
_ROOM_S = 0.02
_CONCURRENCY = 4
_BUSY_S = 0.003
"""How long a callback takes at most."""


class Producer(OnNode):
    """Sends messages in bursts, some of which are larger than its stream.

    Args:
        options: of the process.
        recorder: for its records.
    """

    def __init__(self, options: Options, recorder: Recorder) -> None:
        super().__init__(Node(options.name))
        self._options = options
        self._recorder = recorder
        self._random = random.Random(f"{options.seed} {options.name} {options.life}")
        self._enough = asyncio.Event()
        self._numbers = 0
        self._stream = self.node.add_stream(
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
        return super().state() | dataclasses.asdict(self._stream.stats) | {"groups": groups}

    async def play(self) -> None:
        """Send until it is enough; then wait until all has been acknowledged."""
        most = 2 * self._options.max_messages
        async for size in bursts(self._random, self._options.rate, most, self._enough):
            await send_all(size, _AT_A_TIME, self._send)
        await self._stream.drained()
        self._recorder.add(DRAINED)

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


class Consumer(OnNode):
    """Records what it is given, and takes a while to return, so that a kill finds it at work.

    Args:
        options: of the process.
        recorder: for its records.
    """

    def __init__(self, options: Options, recorder: Recorder) -> None:
        super().__init__(Node(options.name))
        self._recorder = recorder
        self._random = random.Random(f"{options.seed} {options.name} {options.life}")
        # One way of calling back each, in turn.
        if options.number % 2:
            self._consumer = self.node.add_consumer(
                TOPIC, self._handle_slowly, group=options.group, concurrency=_CONCURRENCY
            )
        else:
            self._consumer = self.node.add_consumer(TOPIC, self._handle, group=options.group)

    async def play(self) -> None:
        """Nothing besides."""

    def enough(self) -> None:
        """Nothing is sent."""

    def state(self) -> dict[str, Any]:
        """What the consumer has had."""
        return super().state() | dataclasses.asdict(self._consumer.stats)

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

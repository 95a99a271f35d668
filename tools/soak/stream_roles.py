"""The producers and consumers of a soak."""

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
"""The maximum duration of a callback."""


class Producer(OnNode):
    """A role that sends messages in bursts, some of them larger than its stream.

    Args:
        options: the options of the process.
        recorder: the recorder of the process.
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
        """Stop sending."""
        self._enough.set()

    def state(self) -> dict[str, Any]:
        """Return the counters of the stream and its groups."""
        groups = {name: dataclasses.asdict(group) for name, group in self._stream.groups.items()}
        return super().state() | dataclasses.asdict(self._stream.stats) | {"groups": groups}

    async def play(self) -> None:
        """Send bursts until told to stop, then wait until everything is acknowledged."""
        most = 2 * self._options.max_messages
        async for size in bursts(self._random, self._options.rate, most, self._enough):
            await send_all(size, _AT_A_TIME, self._send)
        await self._stream.drained()
        self._recorder.add(DRAINED)

    async def _send(self) -> None:
        """Send a message, wait while the stream is full, and record the confirmation."""
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
    """A role that records messages in slow callbacks, so that kills interrupt them.

    Args:
        options: the options of the process.
        recorder: the recorder of the process.
    """

    def __init__(self, options: Options, recorder: Recorder) -> None:
        super().__init__(Node(options.name))
        self._recorder = recorder
        self._random = random.Random(f"{options.seed} {options.name} {options.life}")
        # odd ones use coroutines, even ones plain functions
        if options.number % 2:
            self._consumer = self.node.add_consumer(
                TOPIC, self._handle_slowly, group=options.group, concurrency=_CONCURRENCY
            )
        else:
            self._consumer = self.node.add_consumer(TOPIC, self._handle, group=options.group)

    async def play(self) -> None:
        """Do nothing: the callback does the work."""

    def enough(self) -> None:
        """Do nothing, because a consumer does not send."""

    def state(self) -> dict[str, Any]:
        """Return the consumer's counters."""
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

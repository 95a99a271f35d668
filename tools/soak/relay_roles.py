"""The relay of a soak, the messengers that give messages to it, and those that it gives them to."""

import asyncio
import dataclasses
import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Self, TypeVar

from colugo.errors import RelayError
from colugo.messenger import Message, Messenger, Relay
from tools.soak.base import OnNode
from tools.soak.bursts import bursts, send_all
from tools.soak.options import NAME, Options
from tools.soak.payloads import make_payload, read_label
from tools.soak.records import CONFIRMED, DAMAGED, DRAINED, FULL, HANDLED, Recorder

T = TypeVar("T")

_AT_A_TIME = 16
_BUSY_S = 0.003
_AGAIN_S = 0.2


class RelayRole(OnNode):
    """A relay on its file.

    Args:
        options: of the process.
        recorder: for its records.
    """

    def __init__(self, options: Options, recorder: Recorder) -> None:
        self._recorder = recorder
        self._enough = asyncio.Event()
        self._relay = Relay(
            options.name,
            pub_port=options.pub_port,
            recv_port=options.recv_port,
            persist_file=options.store,
            max_messages=options.max_messages,
        )
        super().__init__(self._relay)

    def enough(self) -> None:
        """Nothing more is sent."""
        self._enough.set()

    def state(self) -> dict[str, Any]:
        """What the relay has done, and its stream."""
        groups = {name: dataclasses.asdict(group) for name, group in self._relay.stream.groups.items()}
        return super().state() | dataclasses.asdict(self._relay.stats) | {"groups": groups}

    async def play(self) -> None:
        """When nothing more is sent, wait until all has been acknowledged."""
        await self._enough.wait()
        await self._relay.stream.drained()
        self._recorder.add(DRAINED)


class _WithMessenger:
    """Has a messenger, whose calls block, so that they are made on threads.

    Args:
        options: of the process.
        recorder: for its records.
    """

    def __init__(self, options: Options, recorder: Recorder) -> None:
        self._options = options
        self._recorder = recorder
        self._random = random.Random(f"{options.seed} {options.name} {options.life}")
        self._threads = ThreadPoolExecutor(_AT_A_TIME, "soak")
        self._messenger: Messenger | None = None

    def state(self) -> dict[str, Any]:
        """What the messenger has done."""
        return {} if self._messenger is None else dataclasses.asdict(self._messenger.stats)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._messenger is not None:
            await self._call(self._messenger.stop)
        self._threads.shutdown()

    async def _make(self) -> Messenger:
        """A messenger can only be made while its relay answers."""
        options = self._options
        make = partial(Messenger, options.relay, options.recv_port, options.pub_port, name=options.name)
        while True:
            try:
                return await self._call(make)
            except RelayError:
                await asyncio.sleep(_AGAIN_S)

    async def _call(self, function: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, function)


class Sender(_WithMessenger):
    """Gives messages to the relay; what has been given is the relay's."""

    def __init__(self, options: Options, recorder: Recorder) -> None:
        super().__init__(options, recorder)
        self._enough = asyncio.Event()
        self._numbers = 0

    def enough(self) -> None:
        """Send no more."""
        self._enough.set()

    async def play(self) -> None:
        """Send until it is enough."""
        self._messenger = await self._make()
        async for size in bursts(self._random, self._options.rate, self._options.max_messages, self._enough):
            await send_all(size, _AT_A_TIME, self._send)
        self._recorder.add(DRAINED)

    async def _send(self) -> None:
        self._numbers += 1
        label = f"{self._options.name}.{self._options.life}.{self._numbers}"
        assert self._messenger is not None
        try:
            await self._call(partial(self._messenger.send_message, NAME, make_payload(label), ack=1))
        except RelayError:
            self._recorder.add(FULL)  # or away for all tries: it may have been stored or not
        else:
            self._recorder.add(CONFIRMED, label, label)


class Listener(_WithMessenger):
    """Records what the relay gives it."""

    async def play(self) -> None:
        """Subscribe."""
        self._messenger = await self._make()
        self._messenger.subscribe(NAME, self._handle)

    def enough(self) -> None:
        """Nothing is sent."""

    def _handle(self, payload: object, message: Message) -> None:
        del message
        label = read_label(payload)
        if label is None:
            self._recorder.add(DAMAGED, "", repr(payload)[:100])
        else:
            self._recorder.add(HANDLED, label, label, None, None)
        time.sleep(self._random.uniform(0, _BUSY_S))

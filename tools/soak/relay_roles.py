"""The relay of a soak, with the messengers that send to it and receive from it."""

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
    """A relay with a persist file.

    Args:
        options: the options of the process.
        recorder: the recorder of the process.
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
        """Expect no more messages."""
        self._enough.set()

    def state(self) -> dict[str, Any]:
        """Return the counters of the relay and its stream."""
        groups = {name: dataclasses.asdict(group) for name, group in self._relay.stream.groups.items()}
        return super().state() | dataclasses.asdict(self._relay.stats) | {"groups": groups}

    async def play(self) -> None:
        """Wait for the end of sending, then until everything is acknowledged."""
        await self._enough.wait()
        await self._relay.stream.drained()
        self._recorder.add(DRAINED)


class _WithMessenger:
    """The base of roles with a messenger, whose blocking calls run on threads.

    Args:
        options: the options of the process.
        recorder: the recorder of the process.
    """

    def __init__(self, options: Options, recorder: Recorder) -> None:
        self._options = options
        self._recorder = recorder
        self._random = random.Random(f"{options.seed} {options.name} {options.life}")
        self._threads = ThreadPoolExecutor(_AT_A_TIME, "soak")
        self._messenger: Messenger | None = None

    def state(self) -> dict[str, Any]:
        """Return the messenger's counters."""
        return {} if self._messenger is None else dataclasses.asdict(self._messenger.stats)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._messenger is not None:
            await self._call(self._messenger.stop)
        self._threads.shutdown()

    async def _make(self) -> Messenger:
        """Create the messenger; retry until the relay answers."""
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
    """A role that sends messages through the relay."""

    def __init__(self, options: Options, recorder: Recorder) -> None:
        super().__init__(options, recorder)
        self._enough = asyncio.Event()
        self._numbers = 0

    def enough(self) -> None:
        """Stop sending."""
        self._enough.set()

    async def play(self) -> None:
        """Send bursts until told to stop."""
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
            self._recorder.add(
                FULL
            )  # or the relay was away in all retries: it may have stored the message or not
        else:
            self._recorder.add(CONFIRMED, label, label)


class Listener(_WithMessenger):
    """A role that records the messages it receives from the relay."""

    async def play(self) -> None:
        """Subscribe to the messages."""
        self._messenger = await self._make()
        self._messenger.subscribe(NAME, self._handle)

    def enough(self) -> None:
        """Do nothing, because a listener does not send."""

    def _handle(self, payload: object, message: Message) -> None:
        del message
        label = read_label(payload)
        if label is None:
            self._recorder.add(DAMAGED, "", repr(payload)[:100])
        else:
            self._recorder.add(HANDLED, label, label, None, None)
        time.sleep(self._random.uniform(0, _BUSY_S))

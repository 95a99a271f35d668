"""The processes of a soak: `python -m tools.soak.roles OPTIONS`, with `Options` in JSON.

They read commands line by line from standard input, and exit when it ends:

- `enough`: stop sending;
- `die`: kill yourself at the worst moment, right after the next record of a confirmed or handled message;
- `state`: record your counters.
"""

import asyncio
import json
import logging
import sys
from collections.abc import Callable

from tools.soak.base import Role
from tools.soak.options import Options
from tools.soak.records import ENDED, STATE, Recorder
from tools.soak.relay_roles import Listener, RelayRole, Sender
from tools.soak.stream_roles import Consumer, Producer

PRODUCER, CONSUMER, RELAY, SENDER, LISTENER = "producer", "consumer", "relay", "sender", "listener"
ROLES: dict[str, Callable[[Options, Recorder], Role]] = {
    PRODUCER: Producer,
    CONSUMER: Consumer,
    RELAY: RelayRole,
    SENDER: Sender,
    LISTENER: Listener,
}


async def run(options: Options) -> None:
    """Run a role until standard input ends."""
    recorder = Recorder(options.records)
    async with ROLES[options.role](options, recorder) as role, asyncio.TaskGroup() as tasks:
        playing = tasks.create_task(role.play(), name="role")
        async for line in await _commands():
            match line.strip():
                case b"enough":
                    role.enough()
                case b"die":
                    recorder.doomed = True
                case b"state":
                    recorder.add(STATE, role.state())
                case other:
                    raise ValueError(f"unknown command {other!r}")
        playing.cancel()
        recorder.add(ENDED, role.state())


async def _commands() -> asyncio.StreamReader:
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    return lines


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    asyncio.run(run(Options(**json.loads(sys.argv[1]))))

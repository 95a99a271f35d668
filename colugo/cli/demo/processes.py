"""The demo's processes: their start, supervision and end."""

import asyncio
import os
import sys
from collections import deque
from collections.abc import Callable, Mapping
from typing import NamedTuple, Self

OnEnd = Callable[[str, int, str], None]
"""A callback: `on_end(name, exit status (negative for a signal), last lines of standard error)`."""

STOP_MS = 3000
"""How long processes may take to exit when asked."""
INTERRUPTED_STOP_MS = 500
"""The same when the user interrupts the demo."""
_LAST_LINES = 20
_ROLES_MODULE = "colugo.cli.demo.roles"


class _Child(NamedTuple):
    process: asyncio.subprocess.Process
    watch: asyncio.Task[None]


class Processes:
    """The processes of the demo's nodes; all have exited when the `async with` block ends.

    The standard input of each process is a pipe from here, and the process exits when it closes. So it exits
    even if the demo is killed.
    """

    def __init__(self, environment: Mapping[str, str], on_end: OnEnd) -> None:
        # Pass on the path, so that colugo is importable however it is here (Bazel, a zip file).
        path = os.pathsep.join(entry for entry in sys.path if entry)
        self._environment = {**os.environ, "PYTHONPATH": path, **environment}
        self._on_end = on_end
        self._children: dict[str, _Child] = {}

    async def start(self, role: str, name: str) -> int:
        """Start a node in a process of its own and return its process id."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", _ROLES_MODULE, role, name),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            env=self._environment,
            process_group=0,  # Ctrl-C goes to the demo only, which stops them
        )
        watch = asyncio.create_task(self._watch(name, process), name=f"watch {name}")
        self._children[name] = _Child(process, watch)
        return process.pid

    def kill(self, name: str) -> None:
        """Send SIGKILL to a process, if it still runs."""
        process = self._children[name].process
        if process.returncode is None:
            process.kill()

    async def close(self, timeout_ms: int) -> None:
        """Stop all processes, and kill those that do not exit in time."""
        watches = [child.watch for child in self._children.values()]
        try:
            for child in self._children.values():
                if child.process.stdin is not None:
                    child.process.stdin.close()
            if watches:
                await asyncio.wait(watches, timeout=timeout_ms / 1000)
        finally:
            for name in self._children:
                self.kill(name)
        if watches:
            await asyncio.wait(watches)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, _: object, error: BaseException | None, *__: object) -> None:
        await self.close(STOP_MS if error is None else INTERRUPTED_STOP_MS)

    async def _watch(self, name: str, process: asyncio.subprocess.Process) -> None:
        assert process.stderr is not None
        lines: deque[str] = deque(maxlen=_LAST_LINES)
        async for line in process.stderr:
            lines.append(line.decode(errors="replace").rstrip())
        status = await process.wait()
        self._on_end(name, status, "\n".join(lines))

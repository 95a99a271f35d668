"""The demo's processes: started, watched, killed, ended."""

import asyncio
import os
import sys
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self

OnEnd = Callable[[str, int, str], None]
"""`on_end(name, status, last words)`."""

PATIENCE_MS = 3000
"""How long processes may take to end when they are told to."""
HASTE_MS = 500
"""The same when the demo was interrupted."""
_LAST_WORDS = 20
_ROLES_MODULE = "colugo.cli.demo.roles"


@dataclass(frozen=True, slots=True)
class _Child:
    process: asyncio.subprocess.Process
    watch: asyncio.Task[None]


class Processes:
    """Nodes of the demo, each a process; leaving the `async with` block leaves none behind.

    A process holds a pipe from here as its standard input, and ends when it is closed. So it ends too
    when this one is gone, whatever the reason.

    Args:
        environment: more of their environment.
        on_end: called when one has ended, with its exit status (negative for a signal) and the last
            lines of its standard error.
    """

    def __init__(self, environment: Mapping[str, str], on_end: OnEnd) -> None:
        # The path too: whatever made colugo importable here (Bazel, a zip file) does so there.
        path = os.pathsep.join(entry for entry in sys.path if entry)
        self._environment = {**os.environ, "PYTHONPATH": path, **environment}
        self._on_end = on_end
        self._children: dict[str, _Child] = {}

    async def start(self, role: str, name: str) -> int:
        """Start a node in a process of its own and return its process id.

        Raises:
            OSError: if the system does not start it.
        """
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",
            "-m",
            _ROLES_MODULE,
            role,
            name,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            env=self._environment,
            process_group=0,  # Ctrl-C is for the demo alone, which then ends them
        )
        watch = asyncio.create_task(self._watch(name, process), name=f"watch {name}")
        self._children[name] = _Child(process, watch)
        return process.pid

    def kill(self, name: str) -> None:
        """Kill one by SIGKILL, if it still runs."""
        process = self._children[name].process
        if process.returncode is None:
            process.kill()

    async def close(self, *, patience_ms: int = PATIENCE_MS) -> None:
        """Tell all to end, wait for them, and kill those that don't.

        Args:
            patience_ms: how long to wait.
        """
        watches = [child.watch for child in self._children.values()]
        try:
            for child in self._children.values():
                if child.process.stdin is not None:
                    child.process.stdin.close()
            if watches:
                await asyncio.wait(watches, timeout=patience_ms / 1000)
        finally:
            for name in self._children:
                self.kill(name)
        if watches:
            await asyncio.wait(watches)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close(patience_ms=PATIENCE_MS if error is None else HASTE_MS)

    async def _watch(self, name: str, process: asyncio.subprocess.Process) -> None:
        assert process.stderr is not None
        words: deque[str] = deque(maxlen=_LAST_WORDS)
        async for line in process.stderr:
            words.append(line.decode(errors="replace").rstrip())
        status = await process.wait()
        self._on_end(name, status, "\n".join(words))

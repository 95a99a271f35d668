"""The steps of the demo, one after another."""

import asyncio
import logging
import signal
import time
from collections.abc import Callable

from colugo import Advertisement, MessageInfo, Node, RequestError
from colugo.cli.demo.demo_messages import (
    ALL_REPORTS,
    CLIENT,
    FIRST_SERVERS,
    LATE_SERVER,
    LOAD,
    MEMORY,
    MONITOR,
    NETWORK,
    SLOW_REQUEST,
    VICTIM,
    Load,
    Memory,
    NetworkLoad,
    Report,
    SlowOutcome,
)
from colugo.cli.demo.expectations import (
    KILL_NOTICED,
    LATE_FOUND,
    LATE_SHARES,
    NEXT_WORKED,
    NODES_FOUND,
    READINGS_FLOW,
    REQUESTS_ANSWERED,
    REQUESTS_CONTINUED,
    TURNS_TAKEN,
    Expectation,
)
from colugo.cli.demo.processes import Processes
from colugo.cli.demo.record import MessageFlow, Record, milliseconds

START_LIMIT_MS = 15_000
STEP_LIMIT_MS = 5000
_SLOW_REQUEST_LIMIT_MS = 5000
_SOCKETS_MS = 50
_SLOW_NUMBER = 8_675_309

# When each step begins, as a fraction of the whole time; a step also waits for the one before.
_SLOW_AT, _KILL_AT, _LATE_AT, _END_AT = 0.3, 0.5, 0.7, 0.95


class StepFailedError(Exception):
    """A step of the demo did not complete in time; the record's `troubles` name it."""


class Tour:
    """The demo's own node, which runs and observes the others, in a realm of their own."""

    def __init__(self, record: Record, realm: str, *, length_ms: int) -> None:
        self._record = record
        self._length_ms = length_ms
        self._changed = asyncio.Event()
        self._logger = logging.getLogger(__name__)
        self._node = Node("demo", realm=realm, scope="host")
        self._processes = Processes({"COLUGO_REALM": realm, "COLUGO_SCOPE": "host"}, self._ended)
        for topic, codec in ((LOAD, Load), (MEMORY, Memory), (NETWORK, NetworkLoad)):
            self._node.add_subscriber(topic, self._on_reading, codec=codec)
        self._node.add_subscriber(
            ALL_REPORTS, self._on_report, self._found, codec=Report, on_disconnect=self._gone
        )
        self._slow_requests = self._node.add_request_client(SLOW_REQUEST, codec="json")
        self._node.add_repeater(_SOCKETS_MS, self._update_sockets)

    async def run(self) -> None:
        """Run all steps, or those until one fails; leave no process."""
        async with self._node, self._processes:
            try:
                await self._start_nodes()
                await self._let_it_flow()
                await self._ask_for_something_slow()
                await self._kill_one()
                await self._add_one()
                await self._reach(_END_AT)
            except StepFailedError:
                self._logger.debug("the tour ends early", exc_info=True)
            finally:
                self._record.closing_ns = time.time_ns()
                self._note("closing", "stopping all nodes")
        if self._node.callback_errors:
            errors = self._node.callback_errors
            self._record.trouble(time.time_ns(), f"{errors} callbacks of the demo's own node raised")

    # --- steps

    async def _start_nodes(self) -> None:
        await self._start("monitor", MONITOR)
        for name in FIRST_SERVERS:
            await self._start("server", name)
        await self._start("client", CLIENT)
        await self._until((NODES_FOUND,), START_LIMIT_MS, "the nodes have not found each other")

    async def _let_it_flow(self) -> None:
        await self._reach(_SLOW_AT)
        all_flow = (READINGS_FLOW, REQUESTS_ANSWERED, TURNS_TAKEN)
        await self._until(all_flow, STEP_LIMIT_MS, "too few readings or replies arrived")

    async def _ask_for_something_slow(self) -> None:
        self._record.slow_asked_ns = time.time_ns()
        self._note("slow", "a request that takes longer than its client waits")
        try:
            outcome = await self._slow_requests.request({"number": _SLOW_NUMBER}, _SLOW_REQUEST_LIMIT_MS)
        except RequestError as error:
            why = f"the client did not report the outcome of the slow request: {error}"
            raise self._failed(why) from error
        slow = self._record.slow = SlowOutcome(**outcome)
        self._note("timeout", f"{slow.error}: {slow.detail}" if slow.error else slow.detail)
        self._note("answer", f"{slow.next_server}: the next request, in {milliseconds(slow.next_elapsed_ms)}")
        await self._until((NEXT_WORKED,), STEP_LIMIT_MS, "the late reply was not dropped, or not counted")

    async def _kill_one(self) -> None:
        await self._reach(_KILL_AT)
        self._note("kill", f"{VICTIM} by SIGKILL")
        self._record.killed_ns = time.time_ns()
        self._processes.kill(VICTIM)
        await self._until((KILL_NOTICED,), STEP_LIMIT_MS, f"the end of {VICTIM} was not detected")
        otherwise = f"the requests did not continue without {VICTIM}"
        await self._until((REQUESTS_CONTINUED,), STEP_LIMIT_MS, otherwise)

    async def _add_one(self) -> None:
        await self._reach(_LATE_AT)
        await self._start("server", LATE_SERVER)
        await self._until((LATE_FOUND,), START_LIMIT_MS, f"{LATE_SERVER} was not found")
        otherwise = f"{LATE_SERVER} did not get its share of the requests"
        await self._until((LATE_SHARES,), STEP_LIMIT_MS, otherwise)

    async def _start(self, role: str, name: str) -> None:
        try:
            pid = await self._processes.start(role, name)
        except OSError as error:
            raise self._failed(f"cannot start {name}: {error}") from error
        self._record.pids[name] = pid
        self._note("started", f"{name}, process {pid}")

    # --- waiting

    async def _reach(self, part: float) -> None:
        """Wait until a fraction of the whole time has passed, or a failure occurs."""
        elapsed_ms = (time.time_ns() - self._record.started_ns) / 1_000_000
        await self._wait(lambda: False, part * self._length_ms - elapsed_ms)

    async def _until(self, expected: tuple[Expectation, ...], limit_ms: int, otherwise: str) -> None:
        """Wait until expectations hold; fail the step if they do not in time."""
        if not await self._wait(lambda: all(one.holds(self._record) for one in expected), limit_ms):
            raise self._failed(f"{otherwise} within {limit_ms} ms")

    async def _wait(self, condition: Callable[[], bool], limit_ms: float) -> bool:
        try:
            async with asyncio.timeout(limit_ms / 1000):
                while not condition():
                    if self._record.troubles:
                        raise StepFailedError
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            return False
        return True

    def _failed(self, why: str) -> StepFailedError:
        self._record.trouble(time.time_ns(), why)
        return StepFailedError(why)

    def _note(self, kind: str, text: str) -> None:
        self._record.note(time.time_ns(), kind, text)
        self._changed.set()

    # --- what is seen

    def _found(self, peer: Advertisement) -> None:
        self._update_sockets()  # show the node's sockets before its connection
        self._record.found_ns.setdefault(peer.node, time.time_ns())
        self._changed.set()

    def _gone(self, peer: Advertisement) -> None:
        self._record.on_gone(peer.node, time.time_ns())
        self._changed.set()

    def _on_report(self, report: Report, info: MessageInfo) -> None:
        if info.peer is not None:
            self._record.on_report(info.peer.node, report)
            self._changed.set()

    def _on_reading(self, reading: object, info: MessageInfo) -> None:
        if info.sequence is not None and info.sent_ns is not None:
            flow = self._record.flows.setdefault(info.topic, MessageFlow())
            flow.add(reading, info.sequence, info.sent_ns, time.time_ns())
            self._changed.set()

    def _update_sockets(self) -> None:
        self._record.update_sockets(self._node.advertisements, time.time_ns())

    def _ended(self, name: str, status: int, last_lines: str) -> None:
        self._record.exits[name] = status
        how = status_text(status)
        output = f":\n{last_lines}" if last_lines else ""
        killed = name == VICTIM and status == -signal.SIGKILL and self._record.killed_ns is not None
        if killed or (status == 0 and self._record.closing_ns is not None):
            self._note("ended", f"{name}, {how}")
        elif self._record.closing_ns is None:
            self._record.trouble(time.time_ns(), f"{name} ended unexpectedly, {how}{output}")
        else:
            self._record.trouble(time.time_ns(), f"{name} did not exit cleanly when asked, {how}{output}")
        self._changed.set()


def status_text(status: int) -> str:
    """Describe an exit status; negative ones are signals."""
    if status >= 0:
        return f"exit status {status}"
    try:
        return f"killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"killed by signal {-status}"

"""Finding out whether sockets that do not answer are still there."""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress

from colugo.net.addresses.interfaces import Scope
from colugo.net.addresses.probe import ProbeAnswer, candidates, probe
from colugo.net.directory import DirectoryChange
from colugo.net.mdns.query import TYPE_SRV
from colugo.net.transport.host import host_id
from colugo.net.transport.tasks import Tasks
from colugo.protocol.advertisement import Advertisement

_TRIES = 3
_WAIT_S = 0.4
_MAX_TOLERATED = 2
_AGAIN_S = 2.0


class Verifier:
    """Asks for the records of sockets that do not answer; then it tries their ports.

    A socket is DOWN if neither its record nor its port is answered for by its host, or if its port alone
    answers, again and again or for a socket that is advertised there besides: another program may have it
    now. It is LOST if the host does not answer at all.

    Args:
        tasks: owner of what runs in the background.
        known: the advertisements, by instance name.
        scope: gives our addresses.
        ask: sends a question for names and a record type.
        gone: gets the name of each that is gone, and in which way.
    """

    def __init__(
        self,
        tasks: Tasks,
        known: Mapping[str, Advertisement],
        scope: Callable[[], Scope],
        ask: Callable[[list[str], int], None],
        gone: Callable[[str, DirectoryChange], None],
    ) -> None:
        self._tasks = tasks
        self._known = known
        self._scope = scope
        self._ask = ask
        self._gone = gone
        self._verifying: dict[str, asyncio.Event] = {}
        self._closed = False
        self._tolerated: Counter[str] = Counter()

    def close(self) -> None:
        """Look after nothing more."""
        self._closed = True

    def verify(self, names: list[str]) -> None:
        """Look after these sockets of one node, unless that is under way."""
        unanswered = {name: asyncio.Event() for name in names if name not in self._verifying}
        if unanswered:
            self._verifying.update(unanswered)
            self._tasks.spawn(self._verify(unanswered), f"verify {next(iter(unanswered))}")

    def answered(self, name: str) -> None:
        """Its record has come."""
        self._tolerated.pop(name, None)
        if name in self._verifying:
            self._verifying[name].set()

    def is_replaced(self, advertisement: Advertisement) -> bool:
        """Whether another socket is advertised at its port: it was restarted there."""
        return any(
            (other.port, other.host_id) == (advertisement.port, advertisement.host_id)
            and other.socket_id != advertisement.socket_id
            and not set(other.addresses).isdisjoint(advertisement.addresses)
            for other in self._known.values()
        )

    async def _verify(self, unanswered: dict[str, asyncio.Event]) -> None:
        try:
            for _ in range(_TRIES):
                self._ask(_silent(unanswered), TYPE_SRV)
                with suppress(TimeoutError):
                    async with asyncio.timeout(_WAIT_S):
                        for answered in unanswered.values():
                            await answered.wait()
                    return
            await self._try_ports(unanswered)
        finally:
            for name in unanswered:
                self._verifying.pop(name, None)

    def _again(self, name: str) -> None:
        if name in self._known and not self._closed:
            self.verify([name])

    async def _try_ports(self, unanswered: dict[str, asyncio.Event]) -> None:
        """Nobody speaks for them any more: see whether their host does."""
        found: ProbeAnswer | None = None
        for name in _silent(unanswered):
            advertisement = self._known.get(name)
            if advertisement is None:
                continue
            if found is not ProbeAnswer.SILENT:  # one of them tells for all: the host is
                addresses = candidates(advertisement, self._scope(), host_id())
                found, _ = await probe(addresses, advertisement.port)
            if unanswered[name].is_set():
                continue
            tolerable = self._tolerated[name] < _MAX_TOLERATED and not self.is_replaced(advertisement)
            if found is ProbeAnswer.ACCEPTED and tolerable:
                self._tolerated[name] += 1  # mDNS may be disturbed
                asyncio.get_running_loop().call_later(_AGAIN_S, self._again, name)
                continue
            del self._tolerated[name]
            self._gone(name, DirectoryChange.LOST if found is ProbeAnswer.SILENT else DirectoryChange.DOWN)


def _silent(unanswered: Mapping[str, asyncio.Event]) -> list[str]:
    return [name for name, answered in unanswered.items() if not answered.is_set()]

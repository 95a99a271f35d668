"""Verification of sockets that do not answer, and of nodes whose end no connection reports."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from typing import Protocol

from colugo.net.addresses.interfaces import Scope
from colugo.net.addresses.probe import ProbeAnswer, candidates, probe
from colugo.net.directory import DirectoryChange
from colugo.net.mdns.announcer import Announcer
from colugo.net.mdns.query import TYPE_SRV
from colugo.net.transport.host import host_id
from colugo.net.transport.tasks import Tasks
from colugo.protocol.advertisement import Advertisement, SocketKind

_TRIES = 3
_WAIT_S = 0.4
_MAX_TOLERATED = 2
_AGAIN_S = 2.0
_SWEEP_S = 2.5
_SWEPT_AT_A_TIME = 8


class VerifierListener(Protocol):
    """The responder that a verifier works for."""

    @property
    def scope(self) -> Scope:
        """Our addresses."""

    def ask(self, names: list[str], record_type: int) -> None:
        """Send a query for names and a record type."""

    def on_gone(self, name: str, change: DirectoryChange) -> None:
        """Take note of an instance that is DOWN or LOST."""


class Verifier:
    """A verifier that queries the records of sockets, and then probes their ports.

    Without an answer to the query, a socket is DOWN if its host refuses connections to its port. It is also
    DOWN if the port accepts them repeatedly, or while another socket is advertised there: another program
    may use the port now. It is LOST if the host does not answer at all.

    Args:
        known: the advertisements, by instance name.
    """

    def __init__(
        self,
        tasks: Tasks,
        known: Mapping[str, Advertisement],
        announcer: Announcer,
        listener: VerifierListener,
    ) -> None:
        self._tasks = tasks
        self._known = known
        self._announcer = announcer
        self._listener = listener
        self._verifying: dict[str, asyncio.Event] = {}
        self._closed = False
        self._tolerated: Counter[str] = Counter()
        self._round = 0
        self._tried: dict[str, int] = {}

    def close(self) -> None:
        """Stop; verify no more sockets."""
        self._closed = True

    def verify(self, names: list[str]) -> None:
        """Verify these sockets of one node, unless they are being verified already."""
        unanswered = {name: asyncio.Event() for name in names if name not in self._verifying}
        if unanswered:
            self._verifying.update(unanswered)
            self._tasks.spawn(self._verify(unanswered), f"verify {next(iter(unanswered))}")

    def answered(self, name: str) -> None:
        """Take note of a socket whose record has arrived."""
        self._tolerated.pop(name, None)
        if name in self._verifying:
            self._verifying[name].set()

    async def sweep(self) -> None:
        """Periodically probe nodes that have only an endpoint, a few at a time.

        The end of other nodes is detected by the peers that are connected to their sockets.
        """
        while True:
            await asyncio.sleep(_SWEEP_S)
            self._round += 1
            names = self._due()
            answers = await asyncio.gather(*(self._probe_port(self._known[name]) for name in names))
            for name, answer in zip(names, answers, strict=True):
                one = self._known.get(name)
                if one is not None and (answer is not ProbeAnswer.ACCEPTED or self._is_replaced(one)):
                    self.verify([name])

    def _due(self) -> list[str]:
        have_sockets = {one.node_id for one in self._known.values() if one.kind is not SocketKind.NODE}
        realms = {one.realm for name, one in self._known.items() if self._announcer.owns(name)}
        silent = [
            name
            for name, one in self._known.items()
            if one.kind is SocketKind.NODE
            and one.node_id not in have_sockets
            and one.realm in realms  # other realms are of no interest
            and not self._announcer.owns(name)
        ]
        silent.sort(key=lambda name: self._tried.get(name, 0))
        self._tried = {name: self._tried.get(name, 0) for name in silent}
        due = silent[:_SWEPT_AT_A_TIME]
        self._tried.update(dict.fromkeys(due, self._round))
        return due

    def _is_replaced(self, advertisement: Advertisement) -> bool:
        """Return True if another socket is advertised at the same port, as after a restart."""
        return any(
            (other.port, other.host_id) == (advertisement.port, advertisement.host_id)
            and other.socket_id != advertisement.socket_id
            and not set(other.addresses).isdisjoint(advertisement.addresses)
            for other in self._known.values()
        )

    async def _probe_port(self, advertisement: Advertisement) -> ProbeAnswer:
        """Connect to a socket's port."""
        addresses = candidates(advertisement, self._listener.scope, host_id())
        answer, _ = await probe(addresses, advertisement.port)
        return answer

    async def _verify(self, unanswered: dict[str, asyncio.Event]) -> None:
        try:
            for _ in range(_TRIES):
                self._listener.ask(_silent(unanswered), TYPE_SRV)
                with suppress(TimeoutError):
                    async with asyncio.timeout(_WAIT_S):
                        for answered in unanswered.values():
                            await answered.wait()
                    return
            await self._probe_ports(unanswered)
        finally:
            for name in unanswered:
                self._verifying.pop(name, None)

    def _again(self, name: str) -> None:
        if name in self._known and not self._closed:
            self.verify([name])

    async def _probe_ports(self, unanswered: dict[str, asyncio.Event]) -> None:
        """Probe the ports of sockets whose records nobody answers for."""
        found: ProbeAnswer | None = None
        for name in _silent(unanswered):
            advertisement = self._known.get(name)
            if advertisement is None:
                continue
            if found is not ProbeAnswer.SILENT:  # a silent host is silent for all of its sockets
                found = await self._probe_port(advertisement)
            if unanswered[name].is_set():
                continue
            tolerable = self._tolerated[name] < _MAX_TOLERATED and not self._is_replaced(advertisement)
            if found is ProbeAnswer.ACCEPTED and tolerable:
                self._tolerated[name] += 1  # mDNS may be impaired
                asyncio.get_running_loop().call_later(_AGAIN_S, self._again, name)
                continue
            del self._tolerated[name]
            change = DirectoryChange.LOST if found is ProbeAnswer.SILENT else DirectoryChange.DOWN
            self._listener.on_gone(name, change)


def _silent(unanswered: Mapping[str, asyncio.Event]) -> list[str]:
    return [name for name, answered in unanswered.items() if not answered.is_set()]

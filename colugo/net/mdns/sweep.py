"""Nodes that have nothing but their own endpoint: nobody is connected to it, so nobody would miss them."""

import asyncio
from collections.abc import Callable, Mapping

from colugo.net.addresses.interfaces import Scope
from colugo.net.addresses.probe import ProbeAnswer, candidates, probe
from colugo.net.mdns.verifier import Verifier
from colugo.net.transport.host import host_id
from colugo.protocol.advertisement import Advertisement, SocketKind

_PERIOD_S = 2.5
_AT_A_TIME = 8


class Sweep:
    """Tries the endpoints of nodes that only listen and ask, a few at a time.

    Others are missed by those who are connected to their sockets.

    Args:
        known: the advertisements, by instance name.
        owns: whether an instance is one of this process.
        scope: gives our addresses.
        verifier: looks after those that do not accept a connection, or share their port.
    """

    def __init__(
        self,
        known: Mapping[str, Advertisement],
        owns: Callable[[str], bool],
        scope: Callable[[], Scope],
        verifier: Verifier,
    ) -> None:
        self._known = known
        self._owns = owns
        self._scope = scope
        self._verifier = verifier
        self._round = 0
        self._tried: dict[str, int] = {}

    async def run(self) -> None:
        """Go on until it is cancelled."""
        while True:
            await asyncio.sleep(_PERIOD_S)
            self._round += 1
            names = self._due()
            answers = await asyncio.gather(*(self._try(self._known[name]) for name in names))
            for name, answer in zip(names, answers, strict=True):
                one = self._known.get(name)
                if one is not None and (
                    answer is not ProbeAnswer.ACCEPTED or self._verifier.is_replaced(one)
                ):
                    self._verifier.verify([name])

    def _due(self) -> list[str]:
        have_sockets = {one.node_id for one in self._known.values() if one.kind is not SocketKind.NODE}
        realms = {one.realm for name, one in self._known.items() if self._owns(name)}
        silent = [
            name
            for name, one in self._known.items()
            if one.kind is SocketKind.NODE
            and one.node_id not in have_sockets
            and one.realm in realms  # realms exchange nothing but mDNS
            and not self._owns(name)
        ]
        silent.sort(key=lambda name: self._tried.get(name, 0))
        self._tried = {name: self._tried.get(name, 0) for name in silent}
        due = silent[:_AT_A_TIME]
        self._tried.update(dict.fromkeys(due, self._round))
        return due

    async def _try(self, advertisement: Advertisement) -> ProbeAnswer:
        answer, _ = await probe(candidates(advertisement, self._scope(), host_id()), advertisement.port)
        return answer

"""A sweep for dead nodes without bound sockets, whose end no connection reports."""

import asyncio
from collections.abc import Callable, Mapping

from colugo.net.addresses.probe import ProbeAnswer
from colugo.net.mdns.verifier import Verifier
from colugo.protocol.advertisement import Advertisement, SocketKind

_PERIOD_S = 2.5
_AT_A_TIME = 8


class Sweep:
    """A periodic probe of nodes that have only an endpoint, a few at a time.

    The end of other nodes is detected by the peers that are connected to their sockets.

    Args:
        known: the advertisements, by instance name.
        owns: returns True for an instance of this process.
        verifier: probes ports, and verifies nodes that do not accept a connection or share their port.
    """

    def __init__(
        self,
        known: Mapping[str, Advertisement],
        owns: Callable[[str], bool],
        verifier: Verifier,
    ) -> None:
        self._known = known
        self._owns = owns
        self._verifier = verifier
        self._round = 0
        self._tried: dict[str, int] = {}

    async def run(self) -> None:
        """Sweep until cancelled."""
        while True:
            await asyncio.sleep(_PERIOD_S)
            self._round += 1
            names = self._due()
            answers = await asyncio.gather(*(self._verifier.probe_port(self._known[name]) for name in names))
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
            and one.realm in realms  # other realms are of no interest
            and not self._owns(name)
        ]
        silent.sort(key=lambda name: self._tried.get(name, 0))
        self._tried = {name: self._tried.get(name, 0) for name in silent}
        due = silent[:_AT_A_TIME]
        self._tried.update(dict.fromkeys(due, self._round))
        return due

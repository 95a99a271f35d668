"""Where to connect to a peer: its file if it is on this host, else the first address that answers."""

import asyncio
from collections.abc import Callable, Container

from colugo.net.addresses import Answer, candidates, probe
from colugo.net.interfaces import Scope
from colugo.net.ipc import PREFIX, IpcFiles
from colugo.net.tasks import Tasks
from colugo.protocol.advertisement import Advertisement, endpoint

Found = Callable[[str], None]
_Host = tuple[str | bytes, tuple[str, ...]]

_ASIDE_S = 60.0


class Routes:
    """What a node knows of the ways to others.

    The sockets of one host are at the same addresses, so only the first of them has to be looked for.

    Args:
        host_id: our host.
        ipc: the files of this host.
        tasks: owner of what runs in the background.
    """

    def __init__(self, host_id: str, ipc: IpcFiles, tasks: Tasks) -> None:
        self._host_id = host_id
        self._ipc = ipc
        self._tasks = tasks
        self._answered: dict[_Host, str] = {}
        self._waiting: dict[_Host, list[tuple[Advertisement, Found, str]]] = {}
        self._aside: dict[tuple[bytes, str], float] = {}

    def find(
        self,
        peer: Advertisement,
        scope: Scope,
        found: Found,
        *,
        taken: Container[str],
        before: str | None,
        connected: bool,
    ) -> None:
        """Find the endpoint to connect to.

        Args:
            peer: the peer.
            scope: our addresses.
            found: gets the endpoint, at once or later; not called if the peer has no address. If none
                answers, it gets the one of before or the likeliest: ZeroMQ goes on trying.
            taken: the endpoints that there are links to. A peer of this host whose port is among them is met
                there: a link to the socket that had the port before may be connected to it already.
            before: where the peer was connected to last, if it was.
            connected: whether it still is.
        """
        if connected and before is not None and before.startswith(PREFIX):
            found(before)
            return
        addresses = candidates(peer, scope, self._host_id)
        if not addresses:
            return
        endpoints = [endpoint(address, peer.port) for address in addresses]
        if connected and before in endpoints:
            found(str(before))
        elif peer.host_id == self._host_id:
            file = None if endpoints[0] in taken else self._ipc.find(peer.socket_id)
            found(file or endpoints[0])
        elif len(addresses) == 1:
            found(endpoints[0])
        else:
            fallback = str(before) if before in endpoints else endpoints[0]
            self._find_host(peer, addresses, found, fallback)

    def forget(self, peer: Advertisement) -> None:
        """The peer no longer answers where it did: look for it at all its addresses."""
        self._answered.pop(_host(peer), None)

    def doubt(self, peer: Advertisement, where: str) -> None:
        """The peer has not answered there. If its port did, it is somebody else's: leave it for a minute."""
        known = self._answered.pop(_host(peer), None)
        now = asyncio.get_running_loop().time()
        self._aside = {key: until for key, until in self._aside.items() if until > now}
        if known is not None and endpoint(known, peer.port) == where:
            self._aside[peer.socket_id, where] = now + _ASIDE_S

    def _find_host(self, peer: Advertisement, addresses: list[str], found: Found, fallback: str) -> None:
        host = _host(peer)
        known = self._answered.get(host)
        aside = [one for one in addresses if (peer.socket_id, endpoint(one, peer.port)) in self._aside]
        if known in addresses and known not in aside:
            found(endpoint(str(known), peer.port))
            return
        waiting = self._waiting.setdefault(host, [])
        waiting.append((peer, found, fallback))
        if len(waiting) == 1:
            rest = [one for one in addresses if one not in aside] or addresses
            self._tasks.spawn(self._try_all(host, rest, peer.port), f"find {peer.node}")

    async def _try_all(self, host: _Host, addresses: list[str], port: int) -> None:
        try:
            answer, address = await probe(addresses, port)
            if answer is Answer.ACCEPTED:
                self._answered[host] = address
        finally:
            waiting = self._waiting.pop(host, [])
        for peer, found, fallback in waiting:
            found(endpoint(address, peer.port) if address else fallback)


def _host(peer: Advertisement) -> _Host:
    return peer.host_id or peer.node_id, peer.addresses

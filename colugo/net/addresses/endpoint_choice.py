"""The endpoint to connect to a peer: its file on this host, or the first address that answers."""

import asyncio
from collections.abc import Callable, Container
from dataclasses import dataclass

from colugo.net.addresses.interfaces import Scope
from colugo.net.addresses.ipc import PREFIX, IpcFiles
from colugo.net.addresses.probe import ProbeAnswer, candidates, probe
from colugo.net.transport.tasks import Tasks
from colugo.protocol.advertisement import Advertisement, endpoint

Found = Callable[[str], None]
_Host = tuple[str | bytes, tuple[str, ...]]

_AVOID_S = 60.0
_AT_A_TIME = 3
"""The number of ports of one host to probe concurrently."""


class EndpointChoice:
    """A node's knowledge of the endpoints of its peers.

    All sockets of a host have the same addresses, so only the first few of them have to be probed.
    """

    def __init__(self, host_id: str, ipc: IpcFiles, tasks: Tasks) -> None:
        self._host_id = host_id
        self._ipc = ipc
        self._tasks = tasks
        self._answered: dict[_Host, str] = {}
        self._waiting: dict[_Host, list[_Sought]] = {}
        self._trying: dict[_Host, set[int]] = {}
        self._avoided: dict[tuple[bytes, str], float] = {}

    def find(
        self,
        peer: Advertisement,
        scope: Scope,
        found: Found,
        *,
        taken: Container[str],
        before: str | None,
        connected: Callable[[], bool],
    ) -> None:
        """Find the endpoint to connect to.

        `found` is called with it, immediately or later, unless the peer has no address. If no address
        answers, it gets the previous or the likeliest one, which ZeroMQ keeps trying.

        A peer on this host whose port is among the endpoints that are `taken` by links gets that endpoint,
        because a link to the port's previous socket may already be connected to it. `connected` returns True
        if the peer is connected to the endpoint `before`; it is called again after probing, because the
        connection may have recovered meanwhile.
        """
        if before is not None and before.startswith(PREFIX) and connected():
            found(before)
            return
        addresses = candidates(peer, scope, self._host_id)
        if not addresses:
            return
        endpoints = [endpoint(address, peer.port) for address in addresses]
        if before in endpoints and connected():
            found(before)
        elif peer.host_id == self._host_id:
            file = None if endpoints[0] in taken else self._ipc.find(peer.socket_id)
            found(file or endpoints[0])
        elif len(addresses) == 1:
            found(endpoints[0])
        else:
            back = connected if before in endpoints else lambda: False
            fallback = before if before in endpoints else endpoints[0]
            self._find_host(_Sought(peer, addresses, found, fallback, back))

    def forget(self, peer: Advertisement) -> None:
        """Forget the address of a peer that no longer answers there; probe all its addresses next time."""
        self._answered.pop(_host(peer), None)

    def doubt(self, peer: Advertisement, where: str) -> None:
        """Avoid an endpoint for a minute if its port has answered, but the peer has not."""
        known = self._answered.pop(_host(peer), None)
        now = asyncio.get_running_loop().time()
        self._avoided = {key: until for key, until in self._avoided.items() if until > now}
        if known is not None and endpoint(known, peer.port) == where:
            self._avoided[peer.socket_id, where] = now + _AVOID_S

    def _find_host(self, sought: "_Sought") -> None:
        host = _host(sought.peer)
        known = self._answered.get(host)
        if known in sought.addresses and not self._is_avoided(sought.peer, str(known)):
            sought.found(endpoint(str(known), sought.peer.port))
            return
        self._waiting.setdefault(host, []).append(sought)
        self._try_next(host)

    def _try_next(self, host: _Host) -> None:
        """Probe the ports of several sockets of the host: one of them may be gone and silent."""
        trying = self._trying.setdefault(host, set())
        for sought in self._waiting.get(host, []):
            if len(trying) == _AT_A_TIME:
                return
            if sought.peer.port not in trying:
                trying.add(sought.peer.port)
                self._tasks.spawn(self._try(host, sought), f"find {sought.peer.node}")
        if not trying:
            del self._trying[host]

    async def _try(self, host: _Host, sought: "_Sought") -> None:
        port = sought.peer.port
        rest = [one for one in sought.addresses if not self._is_avoided(sought.peer, one)]
        answer, address = await probe(rest or sought.addresses, port)
        if answer is ProbeAnswer.ACCEPTED:
            self._answered[host] = address
        waiting = self._waiting.pop(host, [])
        resolved = [
            one
            for one in waiting
            if one.peer.port == port or (address and not self._is_avoided(one.peer, address))
        ]
        if len(resolved) < len(waiting):
            self._waiting[host] = [one for one in waiting if one not in resolved]
        self._trying[host].discard(port)
        self._try_next(host)
        for one in resolved:
            stays = not address or one.is_back()
            one.found(one.fallback if stays else endpoint(address, one.peer.port))

    def _is_avoided(self, peer: Advertisement, address: str) -> bool:
        return (peer.socket_id, endpoint(address, peer.port)) in self._avoided


@dataclass(eq=False, slots=True)
class _Sought:
    """A peer whose address is being probed; it gets the fallback if none answers, or it is back there."""

    peer: Advertisement
    addresses: list[str]
    found: Found
    fallback: str
    is_back: Callable[[], bool]


def _host(peer: Advertisement) -> _Host:
    return peer.host_id or peer.node_id, peer.addresses

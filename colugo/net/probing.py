"""Finding out whether a node is dead."""

import asyncio
import ipaddress
from contextlib import suppress
from enum import Enum

from colugo.errors import FrameError, RemoteError, RequestTimeoutError
from colugo.net.node_endpoint import ask
from colugo.net.sockets import Sockets
from colugo.protocol.advertisement import Advertisement, endpoint

_PROBE_S = 1.0


class Finding(Enum):
    """What came of it."""

    ALIVE = "alive"
    REFUSED = "refused"
    SILENT = "silent"


async def probe_node(sockets: Sockets, node: Advertisement, host_id: str) -> Finding:
    """Look whether a node's endpoint is there, and still its own.

    Args:
        sockets: where sockets are made.
        node: the advertisement of its endpoint.
        host_id: our host. The loopback address of another host says nothing here.
    """
    addresses = [
        one for one in node.addresses if node.host_id == host_id or not ipaddress.ip_address(one).is_loopback
    ]
    if not addresses:
        return Finding.SILENT
    findings = await asyncio.gather(*(_connect(one, node.port) for one in addresses))
    for address, finding in zip(addresses, findings, strict=True):
        if finding is Finding.ALIVE:
            return await _identify(sockets, endpoint(address, node.port), node.node_id.hex())
    return Finding.REFUSED if Finding.REFUSED in findings else Finding.SILENT


async def _connect(address: str, port: int) -> Finding:
    try:
        async with asyncio.timeout(_PROBE_S):
            _, writer = await asyncio.open_connection(address, port)
    except ConnectionRefusedError:
        return Finding.REFUSED
    except OSError:  # a TimeoutError is one
        return Finding.SILENT
    writer.transport.abort()
    with suppress(OSError):
        await writer.wait_closed()
    return Finding.ALIVE


async def _identify(sockets: Sockets, where: str, node: str) -> Finding:
    """Another node may have its port now."""
    try:
        answer = await ask(sockets, where, "node", _PROBE_S * 1000)
    except RequestTimeoutError:
        return Finding.ALIVE  # its host is, and it may be busy: else its beats will tell
    except (FrameError, RemoteError):
        return Finding.REFUSED
    same = isinstance(answer, dict) and answer.get("id") == node
    return Finding.ALIVE if same else Finding.REFUSED

"""Advertises a publisher that is not there; prints when it does.

python -m tests.programs.record '{"interface": "10.77.0.2", "address": "10.77.0.9", "port": 9999}'
"""

import asyncio
import json
import os
import sys
import uuid
from typing import Any

from zeroconf import ServiceInfo
from zeroconf.asyncio import AsyncZeroconf

from colugo.net.mdns.query import SERVICE_TYPE
from colugo.protocol.advertisement import Advertisement, SocketKind, instance_label, to_txt


async def main(told: dict[str, Any]) -> None:
    """Run until killed."""
    advertisement = Advertisement(
        socket_id=os.urandom(8),
        kind=SocketKind.PUBLISHER,
        topic=told["topic"],
        node=told.get("node", "ghost"),
        node_id=uuid.uuid4().bytes,
        realm=os.environ["COLUGO_REALM"],
        host_id="0badcafe",
        addresses=(told["address"],),
        port=told["port"],
    )
    info = ServiceInfo(
        SERVICE_TYPE,
        f"{instance_label(advertisement)}.{SERVICE_TYPE}",
        port=advertisement.port,
        parsed_addresses=list(advertisement.addresses),
        properties=to_txt(advertisement) | told.get("txt", {}),
        server=f"ghost-{advertisement.node_id.hex()[:12]}.local.",
    )
    zeroconf = AsyncZeroconf(interfaces=[told["interface"]])
    await (await zeroconf.async_register_service(info, cooperating_responders=True))
    print("advertised", flush=True)
    await asyncio.Event().wait()


asyncio.run(main(json.loads(sys.argv[1])))

"""The answer to the question `"describe"`: a node's sockets, their connections and counters.

The command line and other tools that watch nodes use nothing else. They send the question to the node's own
endpoint with `colugo.net.node_endpoint.ask`.
"""

import os
import socket
import time

from colugo.net.runtime import Runtime
from colugo.protocol.advertisement import WIRE_VERSION, Advertisement
from colugo.protocol.description.node_description import KnownSocket, NodeDescription, PeerDescription
from colugo.protocol.description.socket_descriptions import PartDescription
from colugo.protocol.version import __version__


def describe(runtime: Runtime) -> NodeDescription:
    """Describe a node. Call it on the node's thread."""
    status = runtime.directory_status
    description = NodeDescription(
        name=runtime.name,
        uuid=runtime.uuid.hex,
        realm=runtime.realm,
        scope=runtime.scope.name,
        addresses=list(runtime.scope.addresses),
        version=__version__,
        wire_version=WIRE_VERSION,
        host_id=runtime.host_id,
        host_name=socket.gethostname(),
        pid=os.getpid(),
        time_ns=time.time_ns(),
        callback_errors=runtime.callback_errors,
        known=[as_known(one) for one in (*runtime.registry.known, *runtime.registry.nodes)],
        mdns=status.mdns,
        peers=[PeerDescription(address, state) for address, state in status.peers.items()],
        ignored=dict(status.ignored),
        other_realms=runtime.registry.foreign,
    )
    for part in runtime.parts:
        part_description = part.describe()
        if isinstance(part_description, PartDescription):
            description.add(part_description)
    return description


def as_known(advertisement: Advertisement) -> KnownSocket:
    """Return the description of an advertised socket."""
    return KnownSocket(
        socket_id=advertisement.socket_id.hex(),
        kind=str(advertisement.kind),
        topic=advertisement.topic,
        node=advertisement.node,
        node_id=advertisement.node_id.hex(),
        addresses=advertisement.addresses,
        port=advertisement.port,
        realm=advertisement.realm,
        codec=advertisement.codec,
        host_id=advertisement.host_id,
    )

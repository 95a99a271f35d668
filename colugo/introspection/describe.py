"""What a node says of itself when it is asked: its sockets, whom they are connected to, what is lost.

The command line is built on that alone; so is whatever else watches nodes. A tool asks the node's own
endpoint (`colugo.net.node_endpoint.ask`) the question `"describe"`.
"""

import os
import socket
import time

from colugo.net.runtime import Runtime
from colugo.protocol.advertisement import WIRE_VERSION, Advertisement
from colugo.protocol.description.node_description import (
    KnownSocket,
    NodeDescription,
    PeerDescription,
)
from colugo.protocol.description.socket_descriptions import (
    PublisherDescription,
    ReplyServerDescription,
    RequestClientDescription,
    RespondentDescription,
    SubscriberDescription,
    SurveyorDescription,
)
from colugo.protocol.description.stream_descriptions import ConsumerDescription, StreamDescription
from colugo.protocol.version import __version__


def describe(runtime: Runtime) -> NodeDescription:
    """Describe a node; on its own thread.

    Args:
        runtime: the node's.
    """
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
        match part.describe():
            case PublisherDescription() as publisher:
                description.publishers.append(publisher)
            case SubscriberDescription() as subscriber:
                description.subscribers.append(subscriber)
            case RespondentDescription() as respondent:
                description.respondents.append(respondent)
            case SurveyorDescription() as surveyor:
                description.surveyors.append(surveyor)
            case ReplyServerDescription() as server:
                description.reply_servers.append(server)
            case StreamDescription() as stream:
                description.streams.append(stream)
            case ConsumerDescription() as consumer:
                description.consumers.append(consumer)
            case RequestClientDescription() as client:
                description.request_clients.append(client)
    return description


def as_known(advertisement: Advertisement) -> KnownSocket:
    """An advertisement, as it is described."""
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

"""Finding out whether a node is dead."""

from colugo.errors import FrameError, RemoteError, RequestTimeoutError
from colugo.net.addresses.probe import ProbeAnswer, candidates, probe
from colugo.net.node_endpoint import ask
from colugo.net.runtime import Runtime
from colugo.protocol.advertisement import Advertisement, endpoint

_ANSWER_MS = 1000


async def is_dead(runtime: Runtime, node: Advertisement) -> bool:
    """Whether the host of a node says that nobody is at its port, or somebody else; silence says nothing.

    Args:
        runtime: this node's.
        node: the advertisement of its endpoint.
    """
    answer, address = await probe(candidates(node, runtime.scope, runtime.host_id), node.port)
    if answer is not ProbeAnswer.ACCEPTED:
        return answer is ProbeAnswer.REFUSED
    try:
        found = await ask(runtime.sockets, endpoint(address, node.port), "node", _ANSWER_MS)
    except RequestTimeoutError:  # it may be busy: else its beats will tell
        return False
    except (FrameError, RemoteError):
        return True
    return not isinstance(found, dict) or found.get("id") != node.node_id.hex()

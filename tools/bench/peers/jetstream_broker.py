"""The nats-server with JetStream, as it comes: it syncs its files every two minutes."""

from tools.bench.peers import nats_broker
from tools.bench.peers.network import Network

_STORE = """\
jetstream {{
    store_dir: "{{folder}}"
    {interval}
}}
"""


class Broker(nats_broker.Broker):
    """Runs until it is closed, on loopback only, with its streams in its folder.

    Args:
        network: whose port it takes.
        interval: the line about `sync_interval` in its configuration.

    Raises:
        NoAnswerError: if it does not start.
    """

    def __init__(self, network: Network, interval: str = "") -> None:
        super().__init__(network, _STORE.format(interval=interval))

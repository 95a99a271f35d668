"""The nats-server with JetStream that syncs what it stores before it confirms it."""

from tools.bench.peers import jetstream_broker
from tools.bench.peers.network import Network


class Broker(jetstream_broker.Broker):
    """Runs until it is closed, on loopback only, with its streams in its folder.

    Args:
        network: whose port it takes.

    Raises:
        NoAnswerError: if it does not start.
    """

    def __init__(self, network: Network) -> None:
        super().__init__(network, "sync_interval: always")

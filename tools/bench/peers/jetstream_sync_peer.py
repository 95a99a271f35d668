"""NATS JetStream through nats-py with a server that syncs each message: for its clients it is the same."""

from tools.bench.peers.jetstream_peer import Peer

__all__ = ["Peer"]

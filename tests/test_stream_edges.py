"""Streams where things meet: a loss and a new consumer, small limits, an end while there is work."""

import select

import zmq

from colugo import Node
from colugo.patterns.stream_members import StreamMembers
from tests.support import run, seconds, until


def _readable(socket: "zmq.Socket[bytes]") -> bool:
    """Whether the socket's descriptor tells of something, which it does once."""
    return bool(select.select([socket.fileno()], [], [], seconds(5))[0])


def test_what_arrives_while_a_message_to_a_lost_consumer_fails_is_read() -> None:
    async def main() -> None:
        async with Node("n") as node:
            stream = node.add_stream("t")
            members: StreamMembers = stream._members
            context = zmq.Context()
            stranger = context.socket(zmq.DEALER)
            try:
                stranger.connect(stream.endpoints[0])
                stranger.send(b"garbage")
                await until(lambda: stream.stats.malformed == 1)
                for n in range(20):
                    stranger.send(b"garbage")
                    assert _readable(members._socket)
                    assert not members._send(b"gone", b"x")  # which consumes what the descriptor tells
                    await until(lambda n=n: stream.stats.malformed == 2 + n, within=5)
            finally:
                context.destroy(linger=0)

    run(main())

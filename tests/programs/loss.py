"""A publisher or a reader whose every message is counted: `python -m tests.programs.loss ROLE OPTIONS`.

The process reads commands line by line from standard input, answers with a word and JSON, and exits at the
end of its input. The options are JSON.
"""

import asyncio
import json
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from random import Random
from typing import Any

from colugo import Advertisement, MessageInfo, Node, Subscriber

TOPIC = "counted"
_MAX_BURST_BYTES = 2_000_000
INVALID_EVERY = 7


async def publish(node: Node, seed: int, size: int, options: dict[str, Any], port: int | None) -> None:
    """Send bursts until `quiet`; `sent` tells the id and how many messages there were."""
    random = Random(seed)
    publisher = node.add_publisher(TOPIC, port=port, **options)
    valid, invalid = b'"%b"' % (b"x" * (size - 2)), b"{" * size
    sending = True
    _say("ready", None)

    async def send() -> None:
        while sending:
            for _ in range(random.randint(1, max(1, min(500, _MAX_BURST_BYTES // size)))):
                publisher.send(valid if publisher.stats.sent % INVALID_EVERY else invalid)
            await asyncio.sleep(random.choice((0, 0.001, 0.005, 0.02)))

    sender = asyncio.create_task(send())
    async for word in _told():
        if word == "quiet":
            sending = False
            await sender
            own = next(one for one in node.advertisements if one.endpoints[0] == publisher.endpoints[0])
            _say("sent", {own.socket_id.hex(): publisher.stats.sent})


@dataclass
class Counts:
    """The counts of a reader, by publisher."""

    handled: Counter[str] = field(default_factory=Counter)
    lost: Counter[str] = field(default_factory=Counter)
    joined_at: dict[str, int] = field(default_factory=dict)
    out_of_order: int = 0
    last: dict[str, int] = field(default_factory=dict)

    def handle(self, info: MessageInfo) -> None:
        """Count a message."""
        publisher = info.peer.socket_id.hex()
        assert info.sequence is not None
        self.out_of_order += info.sequence <= self.last.get(publisher, -1)
        self.last[publisher] = info.sequence
        self.handled[publisher] += 1

    def lose(self, info: MessageInfo, count: int) -> None:
        """Count what on_loss tells."""
        self.lost[info.peer.socket_id.hex()] += count


async def read(node: Node, kind: str, queue: int, codec: str | None) -> None:
    """Read as a reader of this kind does; `count` tells all that has been counted."""
    counts = Counts()

    def handle(message: object, info: MessageInfo) -> None:
        del message
        counts.handle(info)
        if kind == "slow":
            time.sleep(0.0005)
        elif kind == "halting" and counts.handled.total() % 5000 == 0:
            time.sleep(0.3)

    async def handle_later(message: object, info: MessageInfo) -> None:
        del message
        counts.handle(info)
        if counts.handled.total() % 50 == 0:
            await asyncio.sleep(0.002)

    def joined(peer: Advertisement) -> None:
        publisher = peer.socket_id
        counts.joined_at.setdefault(publisher.hex(), subscriber._receiver.streams[publisher].ledger.expected)
        _say("joined", publisher.hex())

    subscriber = node.add_subscriber(
        TOPIC,
        handle_later if kind == "queued" else handle,
        joined,
        codec=codec,
        on_loss=counts.lose,
        queue=queue,
        executor=kind == "executor",
    )
    _say("ready", None)
    async for word in _told():
        if word == "count":
            _say("counted", _totals(subscriber, counts))


def _totals(subscriber: Subscriber, counts: Counts) -> dict[str, Any]:
    stats = subscriber.stats
    return {
        "handled": counts.handled,
        "on_loss": counts.lost,
        "joined_at": counts.joined_at,
        "out_of_order": counts.out_of_order,
        "received": {peer.socket_id.hex(): one.received for peer, one in stats.by_publisher.items()},
        "lost": {peer.socket_id.hex(): one.lost for peer, one in stats.by_publisher.items()},
        "arrived": subscriber._receiver.total().received,
        "dropped": stats.dropped,
        "undecodable": stats.undecodable,
        "malformed": stats.malformed,
        "unknown": stats.unknown,
    }


async def _told() -> Any:
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        yield line.strip()


def _say(word: str, value: object) -> None:
    sys.stdout.write(f"{word} {json.dumps(value)}\n")
    sys.stdout.flush()


async def main() -> None:
    """Play the role until standard input ends."""
    role, realm, options = sys.argv[1:]
    given = json.loads(options)
    async with Node(role, realm=realm, ipc=given.pop("ipc")) as node:
        play: Any = {"publish": publish, "read": read}[role]
        await play(node, **given)


if __name__ == "__main__":
    asyncio.run(main())

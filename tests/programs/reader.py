"""A subscriber of one style and pace, which says so when everything is accounted for."""

import asyncio
import json
import logging
import sys
import time
from collections import Counter
from typing import Any

from colugo import MessageInfo, Node
from colugo.patterns.pubsub.subscriber import Subscriber


class Account:
    """The handled messages: count and last number for each sender, and those out of order."""

    def __init__(self, pause_s: float) -> None:
        self._pause_s = pause_s
        self.got: Counter[str] = Counter()
        self.last: dict[str, int] = {}
        self.last_sequence = -1
        self.disorder = 0

    def take(self, message: bytes) -> None:
        """Handle one."""
        sender, number = message.split(b" ", 2)[:2]
        name = sender.decode()
        self.disorder += int(number) <= self.last.get(name, -1)
        self.last[name] = int(number)
        self.got[name] += 1

    def plain(self, message: bytes, info: MessageInfo) -> None:
        """Handle one, and hold whatever thread this is."""
        self.take(message)
        self.disorder += info.sequence is None or info.sequence <= self.last_sequence
        self.last_sequence = info.sequence or 0
        if self._pause_s:
            time.sleep(self._pause_s)

    def batch(self, messages: list[bytes]) -> None:
        """Handle a list."""
        for message in messages:
            self.take(message)
        if self._pause_s:
            time.sleep(self._pause_s * len(messages))

    async def coroutine(self, message: bytes) -> None:
        """Handle a message, and yield to other tasks meanwhile."""
        self.take(message)
        if self._pause_s:
            await asyncio.sleep(self._pause_s)


def subscribe(node: Node, account: Account, options: dict[str, Any]) -> Subscriber:
    """Add the subscriber."""
    callback = None if options["style"] == "iterate" else getattr(account, options["style"])
    return node.add_subscriber(
        "t", callback, lambda: print("connected", flush=True), **options.get("subscriber", {})
    )


async def iterate(subscriber: Subscriber, account: Account) -> None:
    """Handle one message after another."""
    async for message in subscriber:
        await account.coroutine(message)


async def main(options: dict[str, Any]) -> None:
    """Count until all that is expected is accounted for."""
    account = Account(options.get("pause_s", 0))
    async with Node("reader") as node:
        subscriber = subscribe(node, account, options)
        loop_task = (
            asyncio.create_task(iterate(subscriber, account)) if options["style"] == "iterate" else None
        )
        while True:
            stats = subscriber.stats
            handled = account.got.total() + stats.dropped
            if handled + stats.lost + stats.conflated >= options["expected"]:
                break
            await asyncio.sleep(0.01)
        numbers = {
            "received": stats.received,
            "lost": stats.lost,
            "conflated": stats.conflated,
            "dropped": stats.dropped,
            "got": account.got.total(),
            "senders": account.got,
            "last": account.last,
            "disorder": account.disorder,
        }
        print("done", json.dumps(numbers), flush=True)
        if loop_task is not None:
            loop_task.cancel()
        await asyncio.Event().wait()


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, format="log %(message)s")
    asyncio.run(main(json.loads(sys.argv[1])))

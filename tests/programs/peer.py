"""A node that publishes, subscribes, serves and sends requests on command, and prints all events.

Each line is JSON with the time `t` of `time.monotonic`, one clock for all processes of a machine. Orders
come on standard input.
"""

import asyncio
import gc
import json
import os
import signal
import sys
import time
from typing import Any

import psutil
from zeroconf import Zeroconf

from colugo import MessageInfo, Node
from colugo.errors import RequestError
from colugo.protocol.advertisement import Advertisement

LOOK_MS = 10
PAUSE_S = 0.3
"""After a longer pause, the peer prints that messages arrive again."""


def tell(event: str, **details: Any) -> None:
    """Print what has happened."""
    print(json.dumps({"t": time.monotonic(), "event": event, **details}), flush=True)


def describe(peer: Advertisement) -> dict[str, str]:
    """A peer, in an event."""
    return {"kind": peer.kind, "peer": peer.node, "socket": peer.socket_id.hex()}


class Peer(Node):
    """The node.

    Args:
        options: `name`; `publish`, `subscribe`, `serve`, `ask`: a topic each, or not given; `timeout_ms` of a
            request; `hwm` of the publisher, and `bytes` of what it sends.
    """

    def __init__(self, options: dict[str, Any]) -> None:
        super().__init__(options["name"])
        self._timeout_ms = options.get("timeout_ms", 1000)
        self._payload = "." * options.get("bytes", 10)
        self._seen: dict[str, Advertisement] = {}
        self._heard: dict[str, float] = {}
        self._readers = 0
        self._failing: str | None = ""
        self._repeaters: dict[str, Any] = {}
        self._number = 0
        settings = {name: options[name] for name in ("hwm", "port") if name in options}
        self.publisher = self.add_publisher(options["publish"], **settings) if "publish" in options else None
        self.subscriber = (
            self.add_subscriber(
                options["subscribe"],
                self._message,
                self._connected,
                on_disconnect=self._disconnected,
                on_loss=self._lost,
            )
            if "subscribe" in options
            else None
        )
        self.server = (
            self.add_reply_server(options["serve"], lambda _: self.name) if "serve" in options else None
        )
        self.client = (
            self.add_request_client(options["ask"], self._connected, on_disconnect=self._disconnected)
            if "ask" in options
            else None
        )
        self.add_repeater(LOOK_MS, self._look)

    def obey(self, order: dict[str, Any]) -> None:
        """Run a command: `{"do": "send", "every_ms": 20}`, `"ask"` likewise, or `"count"`."""
        actions = {"send": self._send, "ask": self._ask}
        if order["do"] == "count":
            tell("counted", number=order["number"], **self.counts())
            return
        before = self._repeaters.pop(order["do"], None)
        if before is not None:
            before.close()
        if order["every_ms"]:
            self._repeaters[order["do"]] = self.add_repeater(order["every_ms"], actions[order["do"]])

    def counts(self) -> dict[str, Any]:
        """All that can be counted."""
        process = psutil.Process()
        counted: dict[str, Any] = {
            "directory": sorted(
                f"{one.kind} {one.node} {one.socket_id.hex()}" for one in (*self.advertisements, *self.nodes)
            ),
            "callback_errors": self.callback_errors,
            "memory": process.memory_info().rss,
            "descriptors": process.num_fds(),
            "tasks": len(asyncio.all_tasks()),
            "cached": sum(
                len(records)
                for one in gc.get_objects()
                if isinstance(one, Zeroconf)
                for records in one.cache.cache.values()
            ),
        }
        if self.publisher is not None:
            stats = self.publisher.stats
            counted["publisher"] = {name: getattr(stats, name) for name in ("sent", "subscribers", "dropped")}
        if self.subscriber is not None:
            subscribed = self.subscriber.stats
            names = ("received", "lost", "duplicates", "dropped", "malformed", "unknown", "publishers")
            counted["subscriber"] = {name: getattr(subscribed, name) for name in names}
            counted["streams"] = {
                peer.node: {"received": stream.received, "lost": stream.lost}
                for peer, stream in subscribed.by_publisher.items()
            }
        if self.client is not None:
            asked = self.client.stats
            names = ("sent", "replies", "timeouts", "lost", "late", "pending", "servers")
            counted["client"] = {name: getattr(asked, name) for name in names}
        return counted

    def _send(self) -> None:
        assert self.publisher is not None
        self._number += 1
        self.publisher.send(f"{self._number} {self._payload}")

    def _ask(self) -> None:
        assert self.client is not None
        self.client.send("?", self._answered, self._timeout_ms, self._failed, self._failed)

    def _answered(self, reply: str) -> None:
        if self._failing is not None:
            self._failing = None
            tell("answered", by=reply)

    def _failed(self, error: RequestError) -> None:
        kind = type(error).__name__
        if self._failing != kind:
            self._failing = kind
            tell("failed", error=kind, text=str(error))

    def _message(self, message: str, info: MessageInfo) -> None:
        now = time.monotonic()
        name = info.peer.node
        if now - self._heard.get(name, 0.0) > PAUSE_S:
            tell("heard", peer=name, number=int(message.split(maxsplit=1)[0]))
        self._heard[name] = now

    def _lost(self, info: MessageInfo, count: int) -> None:
        tell("lost", peer=info.peer.node, count=count)

    def _connected(self, peer: Advertisement) -> None:
        tell("connected", **describe(peer))

    def _disconnected(self, peer: Advertisement, reason: str) -> None:
        tell("disconnected", reason=reason, **describe(peer))

    def _look(self) -> None:
        """Print the counters that have no callback."""
        readers = self.publisher.subscribers if self.publisher is not None else 0
        if readers != self._readers:
            tell("subscribers", before=self._readers, now=readers)
            self._readers = readers
        known = {one.socket_id.hex(): one for one in (*self.advertisements, *self.nodes)}
        for socket, one in known.items():
            if socket not in self._seen:
                tell("listed", **describe(one))
        for socket, one in self._seen.items():
            if socket not in known:
                tell("unlisted", **describe(one))
        self._seen = known


async def main(options: dict[str, Any]) -> None:
    """Run until the end of the input, or a signal."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    unread = b""
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    tell("starts")
    async with Peer(options) as node:

        def read() -> None:
            nonlocal unread
            data = os.read(0, 65536)
            if not data:
                loop.remove_reader(0)
                ended.set()
            *lines, unread = (unread + data).split(b"\n")
            for line in lines:
                node.obey(json.loads(line))

        tell("started", pid=os.getpid())
        loop.add_reader(0, read)
        await ended.wait()
    tell("stopped")


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1])))

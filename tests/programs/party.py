"""A node with the given sockets; prints when they are connected.

python -m tests.programs.party '{"name": "a", "publish": {"t": {"codec": "json"}}, "subscribe": {"u": {}}}'
"""

import asyncio
import json
import sys
from typing import Any

from colugo import Node
from proto.lab_pb2 import Temperature

_MESSAGES = {
    "json": {"kelvin": 294.5},
    "protobuf": Temperature(sensor="s", celsius=21.5),
    "plain": "21.5",
}


def _codec(name: str) -> Any:
    return {"protobuf": Temperature, "plain": None}.get(name, name)


async def _slow(message: Any) -> None:
    del message
    await asyncio.sleep(60)


def _nothing(message: Any) -> None:
    del message


def add(node: Node, told: dict[str, Any]) -> list[Any]:
    """Add the sockets; those whose readiness is waited for."""
    waited: list[Any] = []
    for topic, how in told.get("publish", {}).items():
        codec = how.get("codec", "plain")
        publisher = node.add_publisher(topic, codec=_codec(codec))
        message = _MESSAGES[codec]
        for _ in range(how.get("at_once", 1)):
            node.add_repeater(
                how.get("every_ms", 50), lambda send=publisher.send, message=message: send(message)
            )
        if how.get("wait", True):
            waited.append(publisher)
    for topic, how in told.get("subscribe", {}).items():
        callback = _slow if how.get("slow") else _nothing
        subscriber = node.add_subscriber(
            topic,
            callback,
            codec=_codec(how.get("codec", "plain")),
            queue=how.get("queue", 1000),
            connect=how.get("connect", ()),
        )
        waited.append(subscriber)
    for topic in told.get("serve", ()):
        node.add_reply_server(topic, lambda message: message)
    for topic in told.get("request", ()):
        client = node.add_request_client(topic)
        node.add_repeater(50, lambda send=client.send: send("x", timeout=30_000))
        waited.append(client)
    return waited


async def main(told: dict[str, Any]) -> None:
    """Run until killed."""
    async with Node(told["name"], scope=told.get("scope"), realm=told.get("realm")) as node:
        waited = add(node, told)
        print("begun", flush=True)
        await asyncio.gather(*(each.ready(told.get("peers", 1)) for each in waited))
        print("settled", flush=True)
        await asyncio.Event().wait()


asyncio.run(main(json.loads(sys.argv[1])))

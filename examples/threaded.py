"""A node on its own thread, for scripts and notebooks that block.

    python examples/threaded.py
    python examples/rep.py           in a second terminal: replies to its requests
    python examples/sub.py           in a third terminal: receives what it publishes

`node.run()` runs a coroutine on the node's loop and waits for the result.
You may call `send()` from any thread.
"""

import contextlib
import itertools
import logging
import time

from colugo import Node, RequestError


def main() -> None:
    with Node("threaded").running() as node:
        client = node.add_request_client("rpc.topic")
        publisher = node.add_publisher("pub.topic")
        for number in itertools.count():
            try:
                reply = node.run(client.request(f"Message {number}"))
            except RequestError as error:
                print(f"no answer: {error}")
            else:
                print(f"got {reply}, publishing it")
                publisher.send(reply)
            time.sleep(1)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    with contextlib.suppress(KeyboardInterrupt):
        main()

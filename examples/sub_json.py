"""A subscriber of JSON: gets the dicts that the publisher has sent.

    python examples/sub_json.py
    python examples/pub_json.py      in a second terminal

What arrives and is not JSON never reaches the callback; it is counted and logged.
"""

import logging
from typing import Any

from colugo import Node


class DiskSubscriber(Node):
    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.subscriber = self.add_subscriber("host.disk", self.received, codec="json")

    def received(self, message: dict[str, Any]) -> None:
        free, total = message["free_bytes"], message["total_bytes"]
        print(f"{message['host']}: {free / 1e9:.1f} of {total / 1e9:.1f} GB free")


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    DiskSubscriber("sub_json").start()

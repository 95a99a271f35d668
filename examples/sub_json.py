"""A subscriber of JSON: prints the dicts from pub_json.

    python examples/sub_json.py
    python examples/pub_json.py      in a second terminal

A message that is not JSON never reaches the callback; the subscriber counts and logs it.
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

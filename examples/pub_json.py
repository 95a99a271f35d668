"""A publisher of JSON: the disk usage of this machine, every second.

    python examples/pub_json.py
    python examples/sub_json.py      in a second terminal

With codec="json" you send any JSON value: dicts, lists, strings, numbers, booleans and None.
"""

import logging
import platform
import shutil

from colugo import Node


class DiskPublisher(Node):
    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.publisher = self.add_publisher("host.disk", codec="json")
        self.repeater = self.add_repeater(1000, self.tick)

    def tick(self) -> None:
        disk = shutil.disk_usage("/")
        message = {"host": platform.node(), "total_bytes": disk.total, "free_bytes": disk.free}
        print(f"sending {message}")
        self.publisher.send(message)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    DiskPublisher("pub_json").start()

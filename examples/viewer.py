"""A subscriber to pictures as numpy arrays, without a copy; prints a summary every second.

    python examples/viewer.py
    python examples/camera.py      in a second terminal, on this or another machine

The arrays are views of ZeroMQ's memory (copy=False), and read-only. Needs numpy.
"""

import logging
from typing import Any

from colugo import MessageInfo, Node
from examples.picture import TOPIC, Pictures


class Viewer(Node):
    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.pictures = 0
        self.latest: tuple[Any, int | None] | None = None
        self.add_subscriber(TOPIC, self.received, codec=Pictures(), copy=False)
        self.add_repeater(1000, self.report)

    def received(self, picture: Any, info: MessageInfo) -> None:
        self.pictures += 1
        self.latest = picture, info.sequence

    def report(self) -> None:
        if self.latest is None:
            return
        picture, number = self.latest
        print(f"{self.pictures} pictures a second; picture {number}: {picture.shape}, mean {picture.mean()}")
        self.pictures, self.latest = 0, None


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    Viewer("viewer").start()

"""A publisher of pictures: 20 numpy arrays a second, 0.9 MB each, filled with the picture's number.

    python examples/camera.py
    python examples/viewer.py      in a second terminal, on this or another machine

A slow viewer skips pictures and gets the newest one (conflate=True). Needs numpy.
"""

import logging

import numpy as np

from colugo import Node
from examples.picture import SHAPE, TOPIC, Pictures


class Camera(Node):
    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.publisher = self.add_publisher(TOPIC, codec=Pictures(), conflate=True)
        self.number = 0
        self.add_repeater(50, self.take)

    def take(self) -> None:
        picture = np.full(SHAPE, self.number % 256, np.uint8)  # a new array: a sent one must not change
        if self.number % 20 == 0:
            print(f"sending picture {self.number} to {self.publisher.subscribers} viewer(s)")
        self.publisher.send(picture)
        self.number += 1


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    Camera("camera").start()

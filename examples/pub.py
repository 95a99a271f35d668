"""A publisher: sends a message every second to all subscribers.

    python examples/pub.py
    python examples/sub.py      in a second terminal; start as many as you like

They find each other in whatever order you start them. Ctrl-C stops either.
"""

import logging

from colugo import Node


class PublisherExample(Node):
    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.publisher = self.add_publisher("pub.topic")
        self.repeater = self.add_repeater(1000, self.tick)
        self.counter = 0

    def tick(self) -> None:
        print(f"sending Message {self.counter} to {self.publisher.subscribers} subscriber(s)")
        self.publisher.send(f"Message {self.counter}")
        self.counter += 1


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    PublisherExample("pub").start()

"""A subscriber: prints the messages of a topic.

    python examples/sub.py
    python examples/pub.py      in a second terminal; start as many as you like

If you stop the publisher and start it again, the subscriber logs the loss and connects to the new one.
"""

import logging

from colugo import Advertisement, Node


class SubscriberExample(Node):
    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.subscriber = self.add_subscriber(
            "pub.topic", self.received, self.connected, on_disconnect=self.disconnected
        )

    def connected(self, publisher: Advertisement) -> None:
        self.logger.info("connected to %s", publisher)

    def disconnected(self, publisher: Advertisement, reason: str) -> None:
        self.logger.info("%s: %s", reason, publisher)

    def received(self, message: str) -> None:
        print(f"received {message}")


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    SubscriberExample("sub").start()

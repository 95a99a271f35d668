"""A subscriber: prints what the publishers of a topic send.

    python examples/sub.py
    python examples/pub.py      in a second terminal; start as many as you like

Stop the publisher and start it again: the subscriber says that it is gone, and goes on with the new one.
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

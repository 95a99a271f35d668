"""Bills the orders of orders.py: each is billed by one of those who run this.

python examples/orders.py            in another terminal, before or after
python examples/billing.py           several of them share the work; kill some, and others go on with theirs
python examples/billing.py tea       fails with tea: each such order is tried again, then is a dead letter

What cannot be billed: colugo stream dead shop.orders; and again: colugo stream resurrect shop.orders --all
"""

import logging
import sys
from typing import Any

from colugo import Delivery, Node


class Billing(Node):
    """Bills orders."""

    def __init__(self, cannot: str = "") -> None:
        super().__init__("billing")
        self.cannot = cannot
        self.add_consumer("shop.orders", self.bill, group="billing", codec="json", prefetch=5)

    def bill(self, order: dict[str, Any], delivery: Delivery) -> None:
        if delivery.key == self.cannot:
            raise ValueError(f"no price for {self.cannot}")
        again = f", try {delivery.attempt}" if delivery.redelivered else ""
        number = delivery.id.rpartition("-")[2]
        print(f"billed order {number}: {order['pieces']} x {order['goods']}{again}")


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    Billing(*sys.argv[1:2]).start()

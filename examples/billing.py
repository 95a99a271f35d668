"""A stream consumer: bills the orders from orders.py. Several instances share the work.

    python examples/orders.py            in another terminal, before or after
    python examples/billing.py           start several; if you kill some, the others take over their orders
    python examples/billing.py tea       fails on tea: each such order is redelivered, then a dead letter

`colugo stream dead shop.orders` lists the failed orders; `colugo stream resurrect shop.orders --all` retries
them.
"""

import logging
import sys
from typing import Any

from colugo import Delivery, Node


class Billing(Node):
    """A node that bills orders."""

    def __init__(self, cannot: str = "") -> None:
        super().__init__("billing")
        self.cannot = cannot
        self.add_consumer("shop.orders", self.bill, group="billing", codec="json", prefetch=5)

    def bill(self, order: dict[str, Any], delivery: Delivery) -> None:
        if delivery.key == self.cannot:
            raise ValueError(f"no price for {self.cannot}")
        again = f", attempt {delivery.attempt}" if delivery.redelivered else ""
        number = delivery.id.rpartition("-")[2]
        print(f"billed order {number}: {order['pieces']} x {order['goods']}{again}")


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    Billing(*sys.argv[1:2]).start()

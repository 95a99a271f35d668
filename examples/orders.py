"""A stream with a store: keeps orders until they are billed, even if a program is killed.

    python examples/orders.py            takes an order a second; stop it, kill it, start it again
    python examples/billing.py           in another terminal, before or after; start several, kill some

The stream stores the orders in the file orders.db in this folder. `colugo stream ls` lists its contents.
"""

import logging
import random
import sys

from colugo import Node, StreamFullError

GOODS = ("tea", "coffee", "cake")


class Shop(Node):
    """A node that takes orders."""

    def __init__(self, store: str = "orders.db") -> None:
        super().__init__("shop")
        self.orders = self.add_stream("shop.orders", store=store, groups=["billing"], codec="json")
        self.add_repeater(1000, self.take_order)

    async def take_order(self) -> None:
        goods = random.choice(GOODS)  # noqa: S311 - not security-relevant
        try:
            order = await self.orders.send_wait({"goods": goods, "pieces": random.randint(1, 9)}, key=goods)  # noqa: S311
        except StreamFullError as error:
            print(f"no more orders: {error}")
            return
        print(f"order {order.rpartition('-')[2]} is stored; {self.orders.stats.messages} not billed yet")


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    Shop(*sys.argv[1:2]).start()

"""A shop whose orders are kept until they have been billed, whatever happens meanwhile.

python examples/orders.py            takes an order a second; Ctrl-C it, kill it, start it again
python examples/billing.py           in another terminal, before or after; start several, kill some

The orders are kept in the file orders.db in this folder. To look into it: colugo stream ls
"""

import logging
import random
import sys

from colugo import Node, StreamFullError

GOODS = ("tea", "coffee", "cake")


class Shop(Node):
    """Takes orders."""

    def __init__(self, store: str = "orders.db") -> None:
        super().__init__("shop")
        self.orders = self.add_stream("shop.orders", store=store, groups=["billing"], codec="json")
        self.add_repeater(1000, self.take_order)

    async def take_order(self) -> None:
        goods = random.choice(GOODS)  # noqa: S311 - no secret
        try:
            order = await self.orders.send_wait({"goods": goods, "pieces": random.randint(1, 9)}, key=goods)  # noqa: S311
        except StreamFullError as error:
            print(f"no more orders: {error}")
            return
        print(f"order {order.rpartition('-')[2]} is stored; {self.orders.stats.messages} not billed yet")


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    Shop(*sys.argv[1:2]).start()

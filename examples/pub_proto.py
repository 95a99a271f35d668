"""A publisher of protobuf messages: a simulated thermometer, read twice a second.

    python examples/pub_proto.py
    python examples/sub_proto.py      in a second terminal

proto/lab.proto defines the message; `make proto` generates proto/lab_pb2.py from it. The codec is the message
class, and send() accepts no other.
"""

import logging
import math
import time

from colugo import Node
from proto import lab_pb2


class Thermometer(Node):
    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.publisher = self.add_publisher("lab.temperature", codec=lab_pb2.Temperature)
        self.repeater = self.add_repeater(500, self.tick)

    def tick(self) -> None:
        now = time.time()
        celsius = 21 + 2 * math.sin(now / 10)
        print(f"sending {celsius:.2f} °C")
        self.publisher.send(
            lab_pb2.Temperature(sensor="bench-1", celsius=celsius, taken_at_ms=round(now * 1000))
        )


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    Thermometer("pub_proto").start()

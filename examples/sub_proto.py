"""A subscriber of protobuf messages: receives objects of the generated class.

    python examples/sub_proto.py
    python examples/pub_proto.py      in a second terminal

proto/lab.proto defines the message; `make proto` generates proto/lab_pb2.py from it.
"""

import logging
import time

from colugo import Node
from proto import lab_pb2


class TemperatureLog(Node):
    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.subscriber = self.add_subscriber("lab.temperature", self.received, codec=lab_pb2.Temperature)

    def received(self, message: lab_pb2.Temperature) -> None:
        taken_at = time.strftime("%H:%M:%S", time.localtime(message.taken_at_ms / 1000))
        print(f"{taken_at} {message.sensor}: {message.celsius:.2f} °C")


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    TemperatureLog("sub_proto").start()

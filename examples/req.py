"""A request client: sends a request every second and reports failures.

    python examples/req.py
    python examples/rep.py      in a second terminal

If you stop the server, requests wait up to two seconds for another one.
"""

import logging

from colugo import Node, RequestError


class RequestClientExample(Node):
    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.request_client = self.add_request_client("rpc.topic")
        self.repeater = self.add_repeater(1000, self.ask)
        self.counter = 0

    def ask(self) -> None:
        print(f"asking Message {self.counter}")
        self.request_client.send(
            f"Message {self.counter}", self.answered, timeout=2000, timeout_handler=self.failed
        )
        self.counter += 1

    def answered(self, reply: str) -> None:
        print(f"got {reply}")

    def failed(self, error: RequestError) -> None:
        print(f"no answer: {error}")


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    RequestClientExample("req").start()

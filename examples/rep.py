"""A reply server: replies to each request with its text in capitals.

    python examples/rep.py
    python examples/req.py      in a second terminal

If you start a second server, clients send their requests to the two in turn.
"""

import logging

from colugo import Node, Reply


class ReplyServerExample(Node):
    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.reply_server = self.add_reply_server("rpc.topic", self.answer)

    def answer(self, message: str, reply: Reply) -> None:
        print(f"answering {message}")
        reply(message.upper())


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    ReplyServerExample("rep").start()

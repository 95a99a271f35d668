"""A subscriber of many topics: prints what is published on all that fit a pattern.

    python examples/sub_wildcard.py             every topic
    python examples/sub_wildcard.py 'host.*'    those of two words, the first of which is host
    python examples/pub.py                      in more terminals: this one, pub_json.py, pub_proto.py

In a pattern `*` stands for one word and `#` for any number of words; dots divide words.
"""

import logging
import sys

from colugo import MessageInfo, Node, TopicError


class Listener(Node):
    def __init__(self, name: str, pattern: str) -> None:
        super().__init__(name)
        self.subscriber = self.add_subscriber(pattern, self.received)

    def received(self, message: str | bytes, info: MessageInfo) -> None:
        what = message if isinstance(message, str) else f"{len(message)} bytes"
        print(f"{info.topic} from {info.peer.node}: {what}")


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    try:
        listener = Listener("sub_wildcard", sys.argv[1] if len(sys.argv) > 1 else "#")
    except TopicError as error:
        sys.exit(f"sub_wildcard: {error}")
    listener.start()

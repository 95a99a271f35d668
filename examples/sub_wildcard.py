"""A subscriber of many topics: prints the messages of all topics that match a pattern.

    python examples/sub_wildcard.py             all topics
    python examples/sub_wildcard.py 'host.*'    topics of two words, the first of which is host
    python examples/pub.py                      in more terminals, like pub_json.py and pub_proto.py

In a pattern, `*` matches one word and `#` any number of words; dots separate words.
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

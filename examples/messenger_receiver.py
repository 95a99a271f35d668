"""A messenger that receives: its callbacks run one after another on their own thread.

    python examples/messenger_receiver.py
    python examples/messenger_sender.py        in a second terminal

Returning from a callback acknowledges a message with ack=1; if it raises, the message is redelivered.
Ctrl-C stops it.
"""

import contextlib
import logging
import time

from colugo import Messenger
from colugo.messenger import Message


def on_weather(payload: dict[str, int]) -> None:
    print(f"it is {payload['celsius']} degrees", flush=True)


def on_order(payload: dict[str, object], message: Message) -> None:
    age = time.time() - message.timestamp
    print(f"order {payload['number']}: {payload['item']}, sent {age:.1f} s ago", flush=True)


def main() -> None:
    with contextlib.suppress(KeyboardInterrupt), Messenger() as messenger:
        messenger.subscribe("weather", on_weather)
        messenger.subscribe("orders", on_order)
        messenger.join()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    main()

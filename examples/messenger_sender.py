"""A messenger that sends: a plain script, without an event loop.

    python examples/messenger_sender.py
    python examples/messenger_receiver.py      in a second terminal, now or later

A message with ack=1 is kept until a receiver acknowledges it: start the receiver late, and it still gets all
orders. With `colugo relay` in a third terminal, it gets them even after the sender has exited. Ctrl-C stops
either.
"""

import contextlib
import itertools
import logging
import time

from colugo import Messenger


def main() -> None:
    with contextlib.suppress(KeyboardInterrupt), Messenger(auto_start=False) as messenger:
        for number in itertools.count():
            messenger.send_message("weather", {"celsius": 20 + number % 5})
            messenger.send_message("orders", {"number": number, "item": "a pot of tea"}, ack=1)
            stats = messenger.stats
            print(f"sent order {number}; {stats.kept} pending here, {stats.relays} relay(s)", flush=True)
            time.sleep(1)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    main()

"""A relay inside a program: a node that prints its counters every second.

    python examples/relay_in_a_program.py
    python examples/messenger_sender.py        in a second terminal; stop it after a while
    python examples/messenger_receiver.py      in a third terminal

`colugo relay` is the same as a command; with a file, its messages survive a restart. Ctrl-C stops it.
"""

import logging

from colugo.messenger import Relay


class Counting(Relay):
    def __init__(self, name: str) -> None:
        super().__init__(name, pub_port=None, recv_port=None)
        self.repeater = self.add_repeater(1000, self.tick)

    def tick(self) -> None:
        stats = self.stats
        print(f"{stats.taken} accepted, {stats.stream.messages} undelivered", flush=True)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    Counting("relay").start()

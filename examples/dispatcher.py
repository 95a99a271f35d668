"""A dispatcher: sends each request to all producers, and their results to all listeners.

    python examples/dispatcher.py               everything in this process
    python examples/dispatcher.py one           over the network, with a node named "one"
    python examples/dispatcher.py two           in a second terminal: both query the meters of both

It sends a request every second and waits 300 ms for results, so the slow meter always misses the deadline.
"""

import contextlib
import logging
import sys
import time

from colugo.dispatcher import ATEDispatcher, DispatchSummary, Producer, ResultListener


class Meter(Producer):
    """A producer that takes some time to measure."""

    def __init__(self, label: str, takes_ms: int) -> None:
        super().__init__(daemon=True)
        self.label = label
        self.takes_ms = takes_ms

    def produce_dispatcher_output(self, topic: str, *args: int, **_: object) -> str:
        del topic
        (pin,) = args
        time.sleep(self.takes_ms / 1000)
        return f"{self.label}: pin {pin} has {pin}.{self.takes_ms} V"


class Display(ResultListener):
    """A listener that prints results and errors."""

    def process_dispatcher_result(self, topic: str, response: str) -> None:
        print(f"{topic}: {response}")

    def process_dispatcher_error(self, topic: str, producer: object, error: BaseException) -> None:
        print(f"{topic}: {producer} failed: {error}")

    def process_dispatcher_done(self, topic: str, summary: DispatchSummary) -> None:
        print(f"{topic}: {summary.results} results, {summary.silent} silent, in {summary.elapsed_ms:.0f} ms")


def main(name: str | None) -> None:
    dispatcher = ATEDispatcher(node=name)  # the only difference on the network
    dispatcher.start()
    where = name or "here"
    for meter in (Meter(f"quick meter {where}", 50), Meter(f"slow meter {where}", 700)):
        meter.start()
        dispatcher.register_result_producer(meter, "bench.voltage")
    display = Display(daemon=True)
    display.start()
    dispatcher.register_result_listener(display, "bench.voltage")
    try:
        for pin in range(1, 1000):
            dispatcher.send_request("bench.voltage", pin, ttl=300)
            time.sleep(1)
    finally:
        dispatcher.stop()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    with contextlib.suppress(KeyboardInterrupt):
        main(sys.argv[1] if len(sys.argv) > 1 else None)

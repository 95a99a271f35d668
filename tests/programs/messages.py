"""Sends or gets messages of a messenger, told by the arguments.

    python -m tests.programs.messages send NAME COUNT [key=value …]
    python -m tests.programs.messages get NAME [key=value …]
    python -m tests.programs.messages hold NAME [key=value …]     its callback never returns

The values are arguments of the constructor; `stop=no` ends without `stop()`, `hang=yes` waits to be killed.
"""

import os
import sys
import threading
from typing import Any

from colugo import Messenger


def options(arguments: list[str]) -> dict[str, Any]:
    given: dict[str, Any] = dict(one.split("=", 1) for one in arguments)
    for name in ("send_port", "sub_port", "connection_retries"):
        if name in given:
            given[name] = int(given[name])
    if "send_timeout" in given:
        given["send_timeout"] = float(given["send_timeout"])
    return given


def send(name: str, count: int, more: dict[str, Any]) -> None:
    stop, hang = more.pop("stop", "yes"), more.pop("hang", "no")
    messenger = Messenger(auto_start=False, **more)
    for n in range(count):
        messenger.send_message(name, {"n": n, "pid": os.getpid()}, ack=1)
    print("sent", messenger.stats, flush=True)
    if hang == "yes":
        threading.Event().wait()
    if stop == "yes":
        print("left", messenger.stop())


def get(name: str, more: dict[str, Any]) -> None:
    messenger = Messenger(**more)
    messenger.subscribe(name, lambda payload, message: print("got", payload["n"], message.ack, flush=True))
    print("listening", flush=True)
    messenger.join()


def hold(name: str, more: dict[str, Any]) -> None:
    def keep(payload: Any) -> None:
        print("holds", payload["n"], flush=True)
        threading.Event().wait()

    messenger = Messenger(**more)
    messenger.subscribe(name, keep)
    print("listening", flush=True)
    messenger.join()


if __name__ == "__main__":
    if sys.argv[1] == "send":
        send(sys.argv[2], int(sys.argv[3]), options(sys.argv[4:]))
    elif sys.argv[1] == "hold":
        hold(sys.argv[2], options(sys.argv[3:]))
    else:
        get(sys.argv[2], options(sys.argv[3:]))

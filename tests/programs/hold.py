"""Holding the loop from one signal to another."""

import signal
import time


class Hold:
    """A gate that blocks its callers between SIGUSR1 and SIGUSR2, however long that is."""

    def __init__(self) -> None:
        self._wanted = False
        signal.signal(signal.SIGUSR1, lambda *_: self._want(wanted=True))
        signal.signal(signal.SIGUSR2, lambda *_: self._want(wanted=False))

    def here(self) -> None:
        """Return when it is not wanted, or not any more."""
        if self._wanted:
            print("held", flush=True)
            while self._wanted:
                time.sleep(0.005)
            print("released", flush=True)

    def _want(self, *, wanted: bool) -> None:
        self._wanted = wanted

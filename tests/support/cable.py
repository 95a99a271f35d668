"""The test cables: between a host and its network, they lose, delay, reorder and cut what goes through.

A process of their own forwards the frames, so that the test's own work delays none.
"""

import contextlib
import ctypes
import fcntl
import json
import os
import random
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from tests.support.essentials import ROOT

Way = Literal["out", "in"]
BOTH: tuple[Way, ...] = ("out", "in")

_CLONE_NEWNET = 0x40000000
_SIOCETHTOOL = 0x8946
_ETHTOOL_STXCSUM = 0x17


class Cable:
    """The connection between a host's interface and the network, switchable while in use.

    Args:
        cables: the process that is it.
        number: which one of it.
    """

    def __init__(self, cables: "Cables", number: int) -> None:
        self._cables = cables
        self._number = number

    def cut(self, way: Way | None = None) -> None:
        """Drop all packets silently: the carrier stays.

        Args:
            way: `"out"` for what the host sends, `"in"` for what it gets; None for both.
        """
        self._set(way, cut=True)

    def mend(self) -> None:
        """As good as new."""
        self._set(None, cut=False, loss=0.0, delay_s=0.0, late=0.0, late_s=0.0)

    def lose(self, share: float, way: Way | None = None) -> None:
        """Lose this share of the frames, at random."""
        self._set(way, loss=share)

    def delay(self, delay_ms: float, way: Way | None = None) -> None:
        """Every frame takes so much longer."""
        self._set(way, delay_s=delay_ms / 1000)

    def reorder(self, share: float, by_ms: float, way: Way | None = None) -> None:
        """This share of the frames, taken at random, is late, and overtaken by others."""
        self._set(way, late=share, late_s=by_ms / 1000)

    @property
    def counts(self) -> Mapping[Way, Mapping[str, int]]:
        """Frames each way: `passed`, `lost` as told, `refused` by an interface, `overflowed`."""
        return self._set(None)

    def _set(self, way: Way | None, **conditions: object) -> Mapping[Way, Mapping[str, int]]:
        ways = BOTH if way is None else (way,)
        answer: Mapping[Way, Mapping[str, int]] = self._cables.order(
            {"cable": self._number, "ways": ways, "set": conditions}
        )
        return answer


class Cables:
    """The cables of one network.

    Args:
        namespace: where the interfaces are.
        pairs: the names of those that each cable joins: on the host's side, and on the network's.
    """

    def __init__(self, namespace: str, pairs: list[tuple[str, str]]) -> None:
        self.seed = random.randrange(1 << 32)
        options = json.dumps({"pairs": pairs, "seed": self.seed})
        self._process = subprocess.Popen(
            ["ip", "netns", "exec", namespace, sys.executable, "-m", "tests.programs.cable", options],
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._lock = threading.Lock()
        if self._answer() != "ready":
            self.close()
            raise AssertionError("the test cables did not start; what they say is above")

    def order(self, order: Mapping[str, Any]) -> Any:
        """Have something done; it is done on return."""
        with self._lock:
            assert self._process.stdin is not None
            with contextlib.suppress(BrokenPipeError):
                print(json.dumps(order), file=self._process.stdin, flush=True)
            answer = self._answer()
        assert answer, f"the test cables have ended with status {self._process.wait()}"
        return json.loads(answer)

    def close(self) -> None:
        """End the process."""
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _answer(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


def socket_in(namespace: str, family: int = socket.AF_INET, kind: int = socket.SOCK_DGRAM) -> socket.socket:
    """A socket of a network namespace, of use in this process: it stays where it was made."""
    made: list[socket.socket] = []

    def make() -> None:  # on a thread of its own, for only that one changes its namespace
        libc = ctypes.CDLL(None, use_errno=True)
        with Path(f"/run/netns/{namespace}").open() as handle:
            if libc.setns(handle.fileno(), _CLONE_NEWNET):
                return
        made.append(socket.socket(family, kind))

    thread = threading.Thread(target=make, name="test socket maker")
    thread.start()
    thread.join()
    assert made, f"there is no network namespace {namespace}"
    return made[0]


def send_plain_frames(namespace: str, *interfaces: str) -> None:
    """Have checksums computed and long segments cut up before they leave, as there is no hardware to do it.

    Without it, what a cable forwards are frames of 64 KiB without a checksum. Segmentation is off when
    checksums are (netdev-features of the kernel's documentation).
    """
    with socket_in(namespace) as control:
        for interface in interfaces:
            value = ctypes.create_string_buffer(struct.pack("II", _ETHTOOL_STXCSUM, 0), 8)
            request = struct.pack("16sP", interface.encode(), ctypes.addressof(value))
            fcntl.ioctl(control, _SIOCETHTOOL, request.ljust(40, b"\0"))

"""avahi-daemon on a host of a test's own, with its tools."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.support.essentials import seconds
from tests.support.namespaces import Host

# `ip netns exec` gives it mounts of its own, so that this /run is seen by nobody else
START = """
set -e
mount -t tmpfs tmpfs /run
mkdir /run/dbus
dbus-daemon --system --nofork --nopidfile &
until [ -S /run/dbus/system_bus_socket ]; do sleep 0.01; done
exec avahi-daemon --no-drop-root --no-chroot --no-rlimits --no-proc-title
"""


def require_avahi() -> None:
    """Skip the test where avahi is not installed; in CI that is a failure."""
    missing = [tool for tool in ("avahi-daemon", "avahi-browse", "dbus-daemon") if shutil.which(tool) is None]
    if missing and os.environ.get("COLUGO_CI"):
        pytest.fail(f"CI must be able to run this test: {missing} are not installed")
    if missing:
        pytest.skip(f"needs Debian's avahi-daemon, avahi-utils and dbus: {missing} are not installed")


class Avahi:
    """A daemon on a host, with a message bus of its own."""

    def __init__(self, host: Host, process: subprocess.Popen[bytes]) -> None:
        self._host = host
        self._process = process

    def browse(self) -> list[list[str]]:
        """Return the fields of each of our sockets, as `avahi-browse` resolves them now."""
        command = ["nsenter", f"--target={self._process.pid}", "--mount", "--net"]
        done = subprocess.run(
            [*command, "avahi-browse", "-rtp", "_colugo._tcp"],
            check=False,
            capture_output=True,
            text=True,
            timeout=seconds(30),
        )
        lines = [line.split(";") for line in done.stdout.splitlines()]
        return [line for line in lines if line[0] == "="]


@contextmanager
def avahi_on(host: Host) -> Iterator[Avahi]:
    """Run it on a host."""
    with subprocess.Popen(
        ["ip", "netns", "exec", host.name, "sh", "-c", START],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        try:
            yield Avahi(host, process)
        finally:
            os.killpg(process.pid, 9)

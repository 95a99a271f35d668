"""avahi-daemon on the same host: both share port 5353, and avahi's tools show the sockets."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.namespaces import Host, Hosts, require_namespaces
from tests.peers import FROM, meshed
from tests.support import seconds, wait_until

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
        """What `avahi-browse` resolves of our sockets now: a list of fields for each."""
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


@pytest.mark.parametrize("ipv6", [False, True])
def test_avahi_on_the_same_host_shows_the_sockets_with_topic_and_addresses(ipv6: bool) -> None:  # noqa: FBT001
    require_namespaces()
    require_avahi()
    with Hosts(2, ipv6=ipv6) as hosts, avahi_on(hosts[0]) as avahi, meshed(hosts) as peers:
        sockets = {(f'"t={FROM}.{peer.name}"', peer.host.address) for peer in peers}
        shown: list[list[str]] = []

        def shows_all() -> bool:
            shown[:] = avahi.browse()
            seen = {(text, line[7]) for line in shown for text in line[9].split()}
            return sockets <= seen

        assert wait_until(shows_all, 20), shown
        for peer in peers:
            peer.send(20)
            peer.ask(20)
        for peer in peers:
            for other in peers:
                peer.wait("heard", peer=other.name)
            peer.wait("answered")

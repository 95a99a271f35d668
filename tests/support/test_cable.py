"""The test cables and hosts behave as the tests of bad networks expect."""

import hashlib
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from tests.support.cable import Way, socket_in
from tests.support.essentials import Program, seconds, wait_until
from tests.support.namespaces import Host, Hosts, ip, remove_left_over, require_namespaces

HOSTS_UNTIL_KILLED = """
import signal
from tests.support.namespaces import Hosts
with Hosts(2, cabled=True) as hosts:
    print("made", hosts[0].name, flush=True)
    signal.pause()
"""


class Talk:
    """Numbered datagrams from one host to another."""

    def __init__(self, source: Host, sink: Host) -> None:
        self._to = (sink.address, 7007)
        self._sender = socket_in(source.name)
        self._receiver = socket_in(sink.name)
        try:
            self._receiver.bind(self._to)
            self._receiver.settimeout(seconds(10))
            self.send(0)
            assert self.receive() == 0  # both know each other's Ethernet address from now on
        except BaseException:
            self.close()
            raise

    def send(self, number: int) -> None:
        self._sender.sendto(number.to_bytes(4, "big"), self._to)

    def receive(self) -> int:
        return int.from_bytes(self._receiver.recv(100), "big")

    def received(self) -> list[int]:
        """Return the messages that have arrived so far."""
        numbers = []
        self._receiver.setblocking(False)
        try:
            while True:
                numbers.append(self.receive())
        except BlockingIOError:
            return numbers
        finally:
            self._receiver.settimeout(seconds(10))

    def close(self) -> None:
        self._sender.close()
        self._receiver.close()


@contextmanager
def talking(hosts: Hosts) -> Iterator[tuple[Host, Host, Talk]]:
    require_namespaces()
    with hosts as (one, two), closing(Talk(one, two)) as talk:
        yield one, two, talk


def test_a_cable_as_it_is_passes_everything_on_in_order() -> None:
    with talking(Hosts(2, cabled=True)) as (one, two, talk):
        for begin in range(0, 1000, 100):  # the receiving socket has room for about 250
            for number in range(begin, begin + 100):
                talk.send(number)
            assert [talk.receive() for _ in range(100)] == list(range(begin, begin + 100))
        for host in (one, two):
            assert host.cable.counts["out"]["lost"] == host.cable.counts["in"]["lost"] == 0


def test_a_stream_is_cut_into_packets_and_arrives_unharmed() -> None:
    require_namespaces()
    sent = bytes(range(256)) * 20_000
    received = hashlib.sha256()
    with (
        Hosts(2, cabled=True) as (one, two),
        socket_in(two.name, kind=socket.SOCK_STREAM) as listening,
        socket_in(one.name, kind=socket.SOCK_STREAM) as sender,
    ):
        listening.bind((two.address, 7007))
        listening.listen()
        sender.settimeout(seconds(20))
        sender.connect((two.address, 7007))
        receiver, _ = listening.accept()
        receiver.settimeout(seconds(20))

        def send() -> None:
            sender.sendall(sent)
            sender.close()

        sending = threading.Thread(target=send)
        sending.start()
        with receiver:
            while data := receiver.recv(65536):
                received.update(data)
        sending.join()
        assert received.digest() == hashlib.sha256(sent).digest()
        # 1448 bytes in each: not segments of 64 KiB, which no network would carry
        assert one.cable.counts["out"]["passed"] >= len(sent) / 1448


@pytest.mark.parametrize("way", ["out", "in", None])
def test_what_goes_into_a_cut_cable_vanishes_and_the_carrier_stays(way: Way | None) -> None:
    with talking(Hosts(2, cabled=True)) as (one, two, talk):
        cable = two.cable if way == "in" else one.cable
        lost: Way = way or "out"
        cable.cut(way)
        for number in range(100):
            talk.send(number)
        assert wait_until(lambda: cable.counts[lost]["lost"] >= 100)
        assert talk.received() == []
        assert one.run("cat", "/sys/class/net/eth0/carrier").strip() == "1"
        if way is not None:
            with closing(Talk(two, one)) as back:  # the other way, everything still arrives
                back.send(7)
                assert back.receive() == 7
        cable.mend()
        talk.send(1000)
        assert talk.receive() == 1000


def test_a_cable_loses_the_share_that_it_is_told_to() -> None:
    with talking(Hosts(2, cabled=True)) as (one, _, talk):
        one.cable.lose(0.1, "out")
        received: list[int] = []

        def settled() -> bool:  # nothing is under way, to a socket that has room for about 250
            received.extend(talk.received())
            return len(received) + one.cable.counts["out"]["lost"] >= sent

        sent = 0
        while sent < 5000:
            sent += 100
            for number in range(100):
                talk.send(number)
            assert wait_until(settled)
        assert 350 < one.cable.counts["out"]["lost"] < 650  # seven standard deviations
        assert len(received) == 5000 - one.cable.counts["out"]["lost"]


def test_delayed_packets_take_longer_by_that_and_keep_their_order() -> None:
    with talking(Hosts(2, cabled=True)) as (one, _, talk):
        one.cable.delay(50, "out")
        began = time.monotonic()
        for number in range(100):
            talk.send(number)
        assert talk.receive() == 0
        assert time.monotonic() - began >= 0.05
        assert [talk.receive() for _ in range(99)] == list(range(1, 100))


def test_reordered_packets_all_arrive_but_not_in_order() -> None:
    with talking(Hosts(2, cabled=True)) as (one, _, talk):
        one.cable.reorder(0.25, 20)
        for number in range(200):
            talk.send(number)
        numbers = [talk.receive() for _ in range(200)]
        assert numbers != list(range(200))
        assert sorted(numbers) == list(range(200))


@pytest.mark.parametrize("cabled", [False, True])
def test_a_limited_link_passes_no_more_than_that(cabled: bool) -> None:  # noqa: FBT001
    with talking(Hosts(2, cabled=cabled)) as (one, _, talk):
        one.limit("1mbit")
        began = time.monotonic()
        talk._receiver.settimeout(seconds(5))
        payload = bytes(1250)
        for _ in range(30):
            talk._sender.sendto(payload, talk._to)
        for _ in range(30):
            talk._receiver.recv(2000)
        # 300,000 bits at a million a second, less what the bucket holds
        assert time.monotonic() - began > 0.2


def test_links_go_down_and_lose_their_carrier_and_come_back() -> None:
    with talking(Hosts(2, ipv6=True)) as (one, _, talk):
        for down, up in ((one.link_down, one.link_up), (one.unplug, one.plug)):
            down()
            assert "LOWER_UP" not in one.run("ip", "link", "show", "eth0")
            up()
            assert wait_until(lambda: "LOWER_UP" in one.run("ip", "link", "show", "eth0"))
            assert "fd77::1/64" in one.run("ip", "address", "show", "eth0")
            talk.send(7)
            assert talk.receive() == 7


def test_a_host_has_an_interface_on_each_network_and_another_address_when_told() -> None:
    require_namespaces()
    with Hosts(2, cabled=True, interfaces=3) as (one, two):
        for network in range(3):
            address = f"10.77.{network}.2"
            with socket_in(one.name) as sender, socket_in(two.name) as receiver:
                receiver.bind((address, 7007))
                receiver.settimeout(seconds(5))
                sender.sendto(b"x", (address, 7007))
                assert receiver.recvfrom(10)[1][0] == f"10.77.{network}.1"
        one.cable_of("eth1").cut()
        assert one.cable.counts["out"]["lost"] == 0
        one.change_address("10.77.0.99")
        with closing(Talk(two, one)) as talk:
            talk.send(7)
            assert talk.receive() == 7


def test_what_a_killed_test_run_has_left_is_removed_by_the_next(realm: str) -> None:
    require_namespaces()
    with Program(["-c", HOSTS_UNTIL_KILLED], realm=realm) as program:
        name = program.expect("made").split()[1]
        assert name in ip("netns", "list")
        program.signal(signal.SIGKILL)
        program.wait()
    remove_left_over()
    assert name not in ip("netns", "list")

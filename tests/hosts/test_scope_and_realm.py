"""The nodes that connect: scopes in network namespaces, realms anywhere."""

import asyncio
import os
import tempfile
from pathlib import Path

import ifaddr
import pytest

from colugo import Node
from colugo.config import NodeConfig
from colugo.net.addresses.interfaces import HOST
from tests.support.essentials import Collector, Program, new_realm, run, unix_connections
from tests.support.namespaces import Host, Hosts, require_namespaces
from tests.support.peers import Peer

BOTH_WAYS = """
import sys
from colugo import Node

class Peer(Node):
    def __init__(self, name, other):
        super().__init__(name)
        self.publisher = self.add_publisher(f"from.{name}")
        self.add_subscriber(f"from.{other}", self.heard)
        self.add_reply_server(f"ask.{name}", lambda message: f"{name} answers {message}")
        self.client = self.add_request_client(f"ask.{other}", self.ask)
        self.add_repeater(20, lambda: self.publisher.send(f"{name} speaks"))
        self.spoken = False
    def heard(self, message):
        if not self.spoken:
            self.spoken = True
            print("heard", message, flush=True)
    def ask(self):
        self.client.send("hello", lambda reply: print("got", reply, flush=True))

Peer(*sys.argv[1:]).start()
"""

ASK_MDNS = """
import socket, struct, sys
header = bytes([0x12, 0x34, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0])
question = header + b"\\x07_colugo\\x04_tcp\\x05local\\x00" + bytes([0, 12, 0, 1])
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.bind((sys.argv[1], 0))
udp.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(sys.argv[1]))
udp.settimeout(float(sys.argv[3]))
udp.sendto(question, ("224.0.0.251", 5353))
udp.sendto(question, (sys.argv[2], 5353))
try:
    print("answered", udp.recvfrom(9000)[1])
except TimeoutError:
    print("silence")
"""

JOIN_GROUP = """
import socket, sys
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
udp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
udp.bind(("", 5353))
group = socket.inet_aton("224.0.0.251") + socket.inet_aton(sys.argv[1])
udp.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group)
print("joined", flush=True)
while True:
    udp.recv(9000)
"""


def test_two_hosts_find_each_other_and_talk_in_both_directions(realm: str) -> None:
    require_namespaces()
    with (
        Hosts(2) as (one, two),
        one.program(["-c", BOTH_WAYS, "a", "b"], realm=realm) as a,
        two.program(["-c", BOTH_WAYS, "b", "a"], realm=realm) as b,
    ):
        a.expect("heard b speaks")
        b.expect("heard a speaks")
        for program, text in ((a, "got b answers hello"), (b, "got a answers hello")):
            assert any(text in line for line in program.lines) or program.expect(text)


def test_in_scope_host_not_one_packet_leaves_even_if_asked(realm: str) -> None:
    require_namespaces()
    with Hosts(2) as (one, two), one.program(["-c", JOIN_GROUP, one.address], realm=realm) as other:
        # another program of the host listens to the group, so that questions do come in
        other.expect("joined")
        one.count_packets()
        with (
            one.program(["-c", BOTH_WAYS, "a", "b"], realm=realm, scope="host") as a,
            one.program(["-c", BOTH_WAYS, "b", "a"], realm=realm, scope="host") as b,
        ):
            a.expect("heard b speaks")
            b.expect("heard a speaks")
            # so that an answer would need no ARP packet first
            mac = two.run("cat", "/sys/class/net/eth0/address").strip()
            one.run("ip", "neigh", "replace", two.address, "lladdr", mac, "dev", "eth0", "nud", "permanent")
            back = one.run("cat", "/sys/class/net/eth0/address").strip()
            two.run("ip", "neigh", "replace", one.address, "lladdr", back, "dev", "eth0", "nud", "permanent")
            with two.program(["-c", ASK_MDNS, two.address, one.address, "1.5"], realm=realm) as question:
                question.expect("silence")
            assert a.interrupt() == 0
            assert b.interrupt() == 0
        assert one.counted_packets() == 0


@pytest.mark.parametrize("ipv6", [False, True])
def test_in_scope_host_the_interface_has_sent_nothing(realm: str, ipv6: bool) -> None:  # noqa: FBT001
    require_namespaces()
    with Hosts(2, ipv6=ipv6) as (one, _):
        one.count_packets()
        before = one.sent_packets()
        with (
            one.program(["-c", BOTH_WAYS, "a", "b"], realm=realm, scope="host") as a,
            one.program(["-c", BOTH_WAYS, "b", "a"], realm=realm, scope="host") as b,
        ):
            a.expect("heard b speaks")
            b.expect("heard a speaks")
            assert a.interrupt() == 0
            assert b.interrupt() == 0
        assert one.counted_packets() == 0
        if not ipv6:  # with it, the kernel itself looks for neighbours and routers
            assert one.sent_packets() == before


def test_in_scope_lan_the_same_question_is_answered(realm: str) -> None:
    require_namespaces()
    with Hosts(2) as (one, two), one.program(["-c", BOTH_WAYS, "a", "a"], realm=realm) as a:
        one.count_packets()
        a.expect("heard a speaks")
        with two.program(["-c", ASK_MDNS, two.address, one.address, "5"], realm=realm) as question:
            question.expect("answered")
        assert one.counted_packets() > 0


def test_files_that_two_hosts_share_are_not_used_between_them(realm: str) -> None:
    """With different network namespaces but the same files, ipc would bypass the network."""
    require_namespaces()
    with Hosts(2) as (one, two), tempfile.TemporaryDirectory(prefix="cg", dir="/tmp") as shared:

        def start(host: Host, name: str, other: str) -> Program:
            return Program(
                ["-c", BOTH_WAYS, name, other],
                realm=realm,
                env={"COLUGO_SCOPE": "lan", "XDG_RUNTIME_DIR": shared},
                prefix=["nsenter", f"--net=/run/netns/{host.name}"],
            )

        def connections() -> int:
            return unix_connections(one.run("cat", "/proc/net/unix"), Path(shared) / "colugo-0")

        with start(one, "a", "b") as a:
            with start(two, "b", "a") as b:
                a.expect("heard b speaks")
                b.expect("heard a speaks")
                assert connections() == 0
            with start(one, "b", "a") as b:
                b.expect("heard a speaks")
                assert connections() > 0


def test_an_interface_or_address_by_name_is_a_scope(realm: str) -> None:
    require_namespaces()
    with Hosts(2) as (one, two):
        for scope_one, scope_two in (("eth0", two.address), (one.address, "eth0")):
            with (
                one.program(["-c", BOTH_WAYS, "a", "b"], realm=realm, scope=scope_one) as a,
                two.program(["-c", BOTH_WAYS, "b", "a"], realm=realm, scope=scope_two) as b,
            ):
                a.expect("heard b speaks")
                b.expect("heard a speaks")


def test_without_any_interface_the_lan_is_this_host(realm: str) -> None:
    require_namespaces()
    script = "import logging; logging.basicConfig(level=20, format='%(message)s');" + BOTH_WAYS
    with Hosts(1) as (one,):
        one.run("ip", "link", "set", "eth0", "down")
        with one.program(["-c", script, "a", "a"], realm=realm) as program:
            program.expect("scope host (127.0.0.1)")
            assert "no network interface is up" in program.lines[0]
            program.expect("heard a speaks")


def test_two_realms_never_meet() -> None:
    one, two = new_realm(), new_realm()

    async def main() -> None:
        async with (
            Node("a", realm=one) as a,
            Node("b", realm=two) as b,
            Node("c", realm=one) as c,
        ):
            heard_b, heard_c = Collector(), Collector()
            publisher = a.add_publisher("t")
            b.add_subscriber("t", heard_b)
            c.add_subscriber("t", heard_c)
            a.add_reply_server("r", lambda message: message)
            client = b.add_request_client("r")
            await publisher.ready()
            publisher.send("only for one")
            await heard_c.reach(1)
            with pytest.raises(TimeoutError, match="no server of 'r' is known"):
                await client.request("x", 300)
            assert heard_b.items == []
            assert b.advertisements == []
            assert publisher.subscribers == 1

    run(main())


@pytest.mark.slow
def test_two_realms_on_one_network_exchange_nothing_but_mdns() -> None:
    """Nodes of another realm do not probe nodes that have only an endpoint, either."""
    require_namespaces()
    stranger = {"COLUGO_REALM": "another"}
    with (
        Hosts(3) as (one, two, other),
        Peer(one, "a", subscribe="t") as a,
        Peer(two, "b", publish="t", serve="r") as b,
        Peer(other, "c", subscribe="t", env=stranger) as c,
        Peer(other, "d", publish="t", serve="r", env=stranger),
    ):
        other.run("nft", "add table inet count")
        for hook, way in (("input", "iifname"), ("output", "oifname")):
            other.run("nft", f"add chain inet count {hook} {{ type filter hook {hook} priority 0; }}")
            other.run("nft", f"add rule inet count {hook} {way} eth0 meta l4proto tcp counter")
        c.wait("connected", kind="pub", peer="d")
        a.wait("connected", kind="pub", peer="b")
        with Peer(two, "e", subscribe="nothing") as e:
            a.wait("listed", kind="node", peer="e")
            e.kill()
            a.wait("unlisted", kind="node", peer="e")  # so a has tried those who only listen
        b.stop()
        for hook in ("input", "output"):
            assert "packets 0 bytes 0" in other.run("nft", "list", "chain", "inet", "count", hook)


def test_realm_and_scope_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUGO_REALM", "from.env")
    monkeypatch.setenv("COLUGO_SCOPE", " 127.0.0.1 ")
    node = Node("a")
    assert (node.realm, node.scope.addresses) == ("from.env", ("127.0.0.1",))
    assert node.scope.host_only
    node.stop()
    other = Node("b", realm="given", scope="host")
    assert (other.realm, other.scope) == ("given", HOST)
    other.stop()


def test_the_tests_stay_on_this_host() -> None:
    assert os.environ["COLUGO_SCOPE"] == "host"
    assert NodeConfig.resolve().scope == HOST


def test_a_run_of_the_tests_has_a_network_of_its_own_without_any_address_but_loopback() -> None:
    require_namespaces()
    addresses = {str(one.ip) for adapter in ifaddr.get_adapters() for one in adapter.ips}
    assert "127.0.0.1" in addresses
    assert addresses <= {"127.0.0.1", "('::1', 0, 0)"}


def test_a_node_of_this_process_sees_one_of_another_loop() -> None:
    with Node("a").running() as a:
        publisher = a.add_publisher("t")

        async def main() -> None:
            async with Node("b") as b:
                subscriber = b.add_subscriber("t")
                await subscriber.ready()
                publisher.send("across loops")
                assert await asyncio.wait_for(anext(subscriber), 5) == "across loops"

        run(main())

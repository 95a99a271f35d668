"""Two subnets without multicast between them: one entry in COLUGO_PEERS joins them."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from tests.support.essentials import Program
from tests.support.namespaces import require_namespaces
from tests.support.subnets import Subnets

PORT = 4711
PEER = """
import sys
from colugo import Node

class Peer(Node):
    def __init__(self, name):
        super().__init__(name)
        self.publisher = self.add_publisher(f"from.{name}")
        self.add_subscriber("from.#", self.heard)
        self.add_reply_server(f"ask.{name}", lambda message: f"{name} answers {message}")
        self.add_repeater(50, self.look)
        self.seen, self.voices, self.said = [], set(), []
    def heard(self, message):
        self.voices.add(message)
    def look(self):
        self.publisher.send(self.name)
        seen = sorted(one.node for one in self.nodes)
        if seen != self.seen:
            self.seen = seen
            print("nodes", *seen, ".", flush=True)
        said = sorted(self.voices)
        if said != self.said:
            self.said = said
            print("voices", *said, ".", flush=True)

peer = Peer(sys.argv[1])
for other in sys.argv[2:]:
    def ask(client):
        client.send("hello", lambda reply: print("reply", reply, flush=True))
    client = peer.add_request_client(f"ask.{other}", lambda: ask(client))
peer.start()
"""
NAMES = [["a0", "a1", "a2", "a3", "a4"], ["b0", "b1", "b2", "b3", "b4"]]
ALL = [*NAMES[0], *NAMES[1]]


def line(word: str, names: list[str]) -> str:
    return " ".join([word, *sorted(names), "."])


@contextmanager
def ten_nodes(realm: str) -> Iterator[tuple[Subnets, dict[str, Program]]]:
    """Start five nodes on each side; only a0 knows a node on the other side, b0."""
    require_namespaces()
    with Subnets(5) as subnets, ExitStack() as stack:
        programs = {}
        for net in (1, 0):
            for name, host in zip(NAMES[net], subnets.hosts[net], strict=True):
                env = {"COLUGO_PEERS": f"{subnets.hosts[1][0].address}:{PORT}"} if name == "a0" else {}
                if name == "b0":
                    env = {"COLUGO_PORT": str(PORT)}
                asked = {"a3": ["b3"], "b4": ["a4"]}.get(name, [])
                program = host.program(["-c", PEER, name, *asked], realm=realm, env=env)
                programs[name] = stack.enter_context(program)
        yield subnets, programs


def expect(program: Program, text: str, within: float = 15.0) -> None:
    if not any(text in one for one in program.lines):
        program.expect(text, within)


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_with_one_entry_at_one_node_all_ten_see_each_other_and_talk(realm: str) -> None:
    with ten_nodes(realm) as (_, programs):
        for program in programs.values():
            program.expect(line("nodes", ALL), within=30)
            expect(program, line("voices", ALL), within=30)
        expect(programs["a3"], "reply b3 answers hello")
        expect(programs["b4"], "reply a4 answers hello")
        programs["b2"].kill()
        left = [name for name in ALL if name != "b2"]
        for name in left:
            programs[name].expect(line("nodes", left), within=5)


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_when_the_way_between_them_is_cut_each_side_stays_together_and_afterwards_they_join_again(
    realm: str,
) -> None:
    with ten_nodes(realm) as (subnets, programs):
        for program in programs.values():
            program.expect(line("nodes", ALL), within=30)
        subnets.cut()
        for net in (0, 1):
            for name in NAMES[net]:
                programs[name].expect(line("nodes", NAMES[net]), within=20)
        subnets.join()
        for program in programs.values():
            program.expect(line("nodes", ALL), within=20)


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_without_the_entry_each_subnet_is_for_itself(realm: str) -> None:
    require_namespaces()
    with Subnets(1) as subnets:
        (one,), (two,) = subnets.hosts
        with (
            one.program(["-c", PEER, "a"], realm=realm) as a,
            two.program(["-c", PEER, "b"], realm=realm, env={"COLUGO_PORT": str(PORT)}) as b,
        ):
            a.expect(line("voices", ["a"]))
            b.expect(line("voices", ["b"]))
            assert not any("nodes a b" in text for text in [*a.lines, *b.lines])
            env = {"COLUGO_PEERS": f"{two.address}:{PORT}"}
            with one.program(["-c", PEER, "c"], realm=realm, env=env) as c:
                for program in (a, b, c):
                    program.expect(line("nodes", ["a", "b", "c"]))

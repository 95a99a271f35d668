"""The agreement of linked nodes on the members, in simulated networks without sockets or a clock."""

import dataclasses
import itertools
import json
import random
from collections import defaultdict, deque
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from colugo.errors import FrameError
from colugo.protocol.advertisement import Advertisement, SocketKind
from colugo.protocol.frames import FrameKind
from colugo.protocol.membership.control import MAX_CONTROL_BYTES, decode_body, decode_control, encode_control
from colugo.protocol.membership.entries import MAX_SOCKETS, NodeEntries, NodeEntry, SocketRecord
from colugo.protocol.membership.member_link import MemberState, version_of
from colugo.protocol.membership.membership import (
    BEAT_S,
    EXPIRE_S,
    FRESH_S,
    MAX_NODES,
    TOMBSTONE_S,
    Membership,
)
from tests.support.strategies import json_values

REALM = "test"
MANY = 800
_made = iter(range(1, 1 << 60))


def advertisement(node: str, topic: str = "t", realm: str = REALM) -> Advertisement:
    return Advertisement(
        next(_made).to_bytes(8, "big"),
        SocketKind.PUBLISHER,
        topic,
        "name",
        bytes.fromhex(node),
        realm,
        addresses=("192.0.2.7",),
        port=4711,
    )


class Peer:
    """A node of the simulation: its table, and the changes it has reported."""

    def __init__(self, now: float, sockets: int = 1) -> None:
        self.id = next(_made).to_bytes(16, "big").hex()
        self.there: dict[bytes, Advertisement] = {}
        self.ends: list[MemberState] = []
        self.table = Membership(self.id, REALM, self._change, now)
        self.own = [advertisement(self.id) for _ in range(sockets)]
        self.table.publish(self.own, now)

    def _change(self, state: MemberState, one: Advertisement) -> None:
        if state is MemberState.ALIVE:
            assert self.there.get(one.socket_id) != one
            self.there[one.socket_id] = one
        else:
            del self.there[one.socket_id]
            self.ends.append(state)


class Net:
    """Simulated nodes and links; a link that ends loses the messages on it."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.peers: list[Peer] = []
        self.links: dict[tuple[Peer, Peer], deque[bytes]] = {}
        self.sent = 0

    def add(self, sockets: int = 1) -> Peer:
        peer = Peer(self.now, sockets)
        self.peers.append(peer)
        return peer

    def connect(self, one: Peer, two: Peer) -> None:
        if one is two or (one, two) in self.links:
            return
        for near, far in ((one, two), (two, one)):
            self.links[near, far] = deque()
            near.table.open_link(far, self.now)

    def cut(self, one: Peer, two: Peer) -> None:
        if self.links.pop((one, two), None) is not None:
            del self.links[two, one]
            one.table.close_link(two)
            two.table.close_link(one)

    def kill(self, peer: Peer) -> None:
        self.peers.remove(peer)
        for near, far in list(self.links):
            if near is peer:
                self.cut(near, far)

    def leave(self, peer: Peer) -> None:
        peer.table.leave(self.now)
        self.send(peer)
        self.peers.remove(peer)
        for near, far in list(self.links):
            if near is peer:
                self.receive(near, far)
                self.cut(near, far)

    def send(self, peer: Peer) -> None:
        peer.table.mark_flushed()
        for near, far in list(self.links):
            while near is peer and (message := near.table.outgoing(far, self.now)) is not None:
                self.links[near, far].append(msgspec.json.encode(message))
                self.sent += 1

    def receive(self, near: Peer, far: Peer) -> None:
        waiting = self.links[near, far]
        while waiting:
            far.table.receive(near, msgspec.json.decode(waiting.popleft(), type=NodeEntries), self.now)

    def exchange(self) -> None:
        """Deliver messages until none are left."""
        for _ in range(4 * len(self.peers) + 4):
            for peer in self.peers:
                self.send(peer)
            if not any(self.links.values()):
                return
            for near, far in list(self.links):
                self.receive(near, far)
        raise AssertionError("they never come to an end")

    def wait(self, seconds: float, step: float = 1.0) -> None:
        for _ in range(round(seconds / step)):
            self.now += step
            for peer in self.peers:
                peer.table.tick(self.now)
            self.exchange()

    def parts(self) -> list[set[str]]:
        """Return the ids of the nodes connected with each other."""
        near: dict[Peer, set[Peer]] = defaultdict(set)
        for one, two in self.links:
            near[one].add(two)
        parts: list[set[Peer]] = []
        for peer in self.peers:
            if any(peer in part for part in parts):
                continue
            part, waiting = {peer}, [peer]
            while waiting:
                for other in near[waiting.pop()] - part:
                    part.add(other)
                    waiting.append(other)
            parts.append(part)
        return [{peer.id for peer in part} for part in parts]

    def check_agreement(self) -> None:
        """Check that each node knows the nodes connected with it, and no others."""
        for part in self.parts():
            members = [peer for peer in self.peers if peer.id in part]
            sockets = {one.socket_id: one for peer in members for one in peer.own}
            for peer in members:
                assert set(peer.table.alive) == part
                assert peer.there == sockets


def line(net: Net, count: int) -> list[Peer]:
    peers = [net.add() for _ in range(count)]
    for one, two in itertools.pairwise(peers):
        net.connect(one, two)
    net.exchange()
    return peers


def test_knowing_one_is_knowing_all() -> None:
    net = Net()
    line(net, 8)
    net.check_agreement()


def test_what_a_node_adds_and_takes_back_is_told() -> None:
    net = Net()
    first, *_ = line(net, 4)
    first.own = [advertisement(first.id, "new"), first.own[0]]
    first.table.publish(first.own, net.now)
    net.exchange()
    net.check_agreement()
    first.own = first.own[:1]
    first.table.publish(first.own, net.now)
    net.exchange()
    net.check_agreement()


def test_sockets_travel_once_over_a_link_and_beats_do_not_come_back() -> None:
    net = Net()
    one, two = line(net, 2)
    net.wait(TOMBSTONE_S)
    net.now += BEAT_S
    one.table.tick(net.now)
    message = one.table.outgoing(two, net.now)
    assert message is not None
    assert [(entry.node, entry.sockets) for entry in message.entries] == [(one.id, None)]
    two.table.receive(one, message, net.now)
    assert two.table.outgoing(one, net.now) is None


def test_a_ring_does_not_carry_anything_for_ever() -> None:
    net = Net()
    peers = line(net, 5)
    net.connect(peers[0], peers[-1])
    net.wait(60)
    before = net.sent
    net.wait(30)
    # in 10 beats, each of 5 entries goes over each of 10 directions once at most
    assert net.sent - before <= 10 * 5 * 10
    net.check_agreement()


def test_who_leaves_is_gone_at_once_and_who_is_dead_after_its_time_everywhere_at_once() -> None:
    net = Net()
    peers = line(net, 5)
    net.leave(peers[0])
    net.exchange()
    net.check_agreement()
    net.kill(peers[-1])
    net.wait(EXPIRE_S - 1)
    assert peers[-1].id in peers[1].table.alive
    net.wait(2)
    net.check_agreement()


def test_who_is_refused_is_accused_and_everyone_knows() -> None:
    net = Net()
    peers = line(net, 5)
    dead = peers[-1]
    net.kill(dead)
    assert peers[0].table.report_dead(dead.id, net.now)
    net.exchange()
    net.check_agreement()


def test_who_only_seems_dead_comes_back_and_is_not_accused_for_that_again() -> None:
    net = Net()
    peers = line(net, 4)
    accuser, accused = peers[0], peers[-1]
    assert accuser.table.report_dead(accused.id, net.now)
    assert accused.id not in accuser.table.alive
    net.exchange()
    net.check_agreement()
    assert not accuser.table.report_dead(accused.id, net.now)
    net.kill(accused)
    net.now += FRESH_S
    assert accuser.table.report_dead(accused.id, net.now)


def test_nobody_accuses_itself_or_who_is_not_there() -> None:
    net = Net()
    one, two = line(net, 2)
    assert not one.table.report_dead(one.id, net.now)
    assert not one.table.report_dead("0" * 32, net.now)
    net.kill(two)
    assert one.table.report_dead(two.id, net.now)
    assert not one.table.report_dead(two.id, net.now)


def test_who_leaves_is_told_from_who_is_silent() -> None:
    net = Net()
    one, two, three = line(net, 3)
    net.leave(three)
    net.exchange()
    net.kill(two)
    net.wait(EXPIRE_S + 1)
    assert one.ends == [MemberState.GONE, MemberState.EXPIRED]


def test_old_news_from_a_part_that_was_cut_off_does_not_bring_back_the_dead() -> None:
    net = Net()
    one, two, three = line(net, 3)
    net.cut(one, two)
    net.kill(three)
    two.table.report_dead(three.id, net.now)
    net.exchange()
    assert three.id in one.table.alive
    net.connect(one, two)
    net.exchange()
    assert three.id not in one.table.alive
    assert three.id not in two.table.alive


def test_after_a_pause_of_its_own_a_node_hears_the_others_first() -> None:
    net = Net()
    one, two = line(net, 2)
    net.now += 3 * EXPIRE_S
    one.table.tick(net.now)
    assert two.id in one.table.alive
    two.table.tick(net.now)
    net.exchange()
    net.wait(1)
    net.check_agreement()


def test_a_link_that_lost_what_was_sent_makes_good_for_it() -> None:
    net = Net()
    one, two = net.add(), net.add()
    net.connect(one, two)
    net.send(one)
    net.links[one, two].clear()
    net.exchange()
    net.wait(BEAT_S + 1)  # the next beat comes without the sockets, which are asked for
    net.check_agreement()


def test_sockets_of_another_realm_or_node_or_none_at_all_are_counted_and_left_out() -> None:
    heard: list[Advertisement] = []
    table = Membership("0" * 32, REALM, lambda up, one: heard.append(one), 0.0)
    table.open_link("link", 0.0)
    node = "1" * 32
    good = advertisement(node)
    records = [
        SocketRecord.of(good),
        SocketRecord.of(advertisement(node, realm="other")),
        SocketRecord.of(advertisement("2" * 32)),
        SocketRecord({"v": "0"}, [], 1),
    ]
    table.receive("link", NodeEntries([NodeEntry(node, 1, 1, sockets=records)]), 0.0)
    assert heard == [good]
    assert table.malformed == 3


def test_a_stranger_cannot_make_the_table_grow_without_bound() -> None:
    table = Membership("f" * 32, REALM, lambda up, one: None, 0.0)
    table.open_link("link", 0.0)
    for number in range(2 * MAX_NODES):
        entry = NodeEntry(f"{number:032x}", 1, 1, sockets=[], gone=bool(number % 2))
        table.receive("link", NodeEntries([entry]), 0.0)
    assert table.size == MAX_NODES
    assert len(table._links["link"]._versions) <= MAX_NODES
    for second in range(round(TOMBSTONE_S) + 2):
        table.tick(float(second))
    assert table.size == 1
    assert len(table._links["link"]._versions) <= 1


def test_entries_without_sockets_that_nobody_gives_leave_nothing_behind() -> None:
    table = Membership("f" * 32, REALM, lambda up, one: None, 0.0)
    table.open_link("link", 0.0)
    for number in range(5000):
        table.receive("link", NodeEntries([NodeEntry(f"{number:032x}", 1, 1)]), 0.0)
    message = table.outgoing("link", 0.0)
    assert message is not None
    assert len(message.wanted) == 1000
    assert table.size == 1
    assert table._links["link"]._versions == {"f" * 32: version_of(2, gone=False)}


@pytest.mark.parametrize(
    ("details", "all_of_them"),
    [
        ({}, True),
        ({"topic": "t" * 200, "node": '"' * 63}, False),
        ({"addresses": tuple(f"2001:db8:1111:2222:3333:4444:5555:{n:04x}" for n in range(32))}, False),
    ],
)
def test_a_node_tells_of_as_many_sockets_as_fit_into_a_message(
    details: dict[str, Any],
    all_of_them: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    one, two = Peer(0.0), Peer(0.0)
    own = [dataclasses.replace(advertisement(one.id), **details) for _ in range(MAX_SOCKETS + 1)]
    told = one.table.publish(own, 0.0)
    assert told == MAX_SOCKETS if all_of_them else 500 < told < MAX_SOCKETS
    one.table.open_link(two, 0.0)
    two.table.open_link(one, 0.0)
    message = one.table.outgoing(two, 0.0)
    assert message is not None
    frame = encode_control(FrameKind.ENTRIES, message)
    assert len(frame) < MAX_CONTROL_BYTES
    two.table.receive(one, decode_body(decode_control(frame)[1], NodeEntries), 0.0)
    assert {key for key, a in two.there.items() if a.node_id.hex() == one.id} == {
        a.socket_id for a in own[:told]
    }


@pytest.mark.slow
def test_many_and_large_entries_go_in_messages_that_an_endpoint_takes() -> None:
    net = Net()
    center = net.add()
    for _ in range(5):
        net.connect(center, net.add(MANY))
    for _ in range(30):
        net.connect(center, net.add(100))
    net.exchange()
    net.check_agreement()
    late = net.add()
    net.connect(center, late)
    sizes = []
    while (message := center.table.outgoing(late, net.now)) is not None:
        sizes.append(len(encode_control(FrameKind.ENTRIES, message)))
        late.table.receive(center, message, net.now)
    assert len(late.there) == 5 * MANY + 30 * 100 + 2
    assert max(sizes) < MAX_CONTROL_BYTES


def test_who_is_said_to_be_at_the_last_beat_still_counts() -> None:
    net = Net()
    one, two = line(net, 2)
    one.table.receive(two, NodeEntries([NodeEntry(one.id, 2**53 - 1, 1, gone=True)]), net.now)
    net.exchange()
    assert one.table.find(one.id) is not None


class Story:
    """A network with events drawn by hypothesis."""

    def __init__(self, data: st.DataObject) -> None:
        self.draw = data.draw
        self.net = Net()
        for _ in range(data.draw(st.integers(2, 7))):
            self.net.add()

    def peer(self) -> Peer:
        return self.draw(st.sampled_from(self.net.peers))

    def connect(self) -> None:
        self.net.connect(self.peer(), self.peer())

    def cut(self) -> None:
        if self.net.links:
            self.net.cut(
                *self.draw(st.sampled_from(sorted(self.net.links, key=lambda pair: [p.id for p in pair])))
            )

    def kill(self) -> None:
        if len(self.net.peers) > 2:
            self.net.kill(self.peer())
            self.net.add()  # and starts again

    def leave(self) -> None:
        if len(self.net.peers) > 2:
            self.net.leave(self.peer())

    def say(self) -> None:
        self.net.send(self.peer())

    def hear(self) -> None:
        for near, far in list(self.net.links):
            if self.draw(st.booleans()):
                self.net.receive(near, far)

    def wait(self) -> None:
        self.net.now += self.draw(st.floats(0.1, 15))
        for peer in self.net.peers:
            peer.table.tick(self.net.now)

    def accuse(self) -> None:
        accuser = self.peer()
        accused = self.draw(st.sampled_from(sorted(accuser.table.alive)))
        accuser.table.report_dead(accused, self.net.now)

    def publish(self) -> None:
        peer = self.peer()
        peer.own = [advertisement(peer.id) for _ in range(self.draw(st.integers(0, 3)))]
        peer.table.publish(peer.own, self.net.now)


STEPS = ["connect", "connect", "cut", "kill", "leave", "say", "hear", "hear", "wait", "accuse", "publish"]


@settings(max_examples=150)
@given(st.data())
def test_whatever_happens_those_who_are_connected_agree_in_the_end(data: st.DataObject) -> None:
    story = Story(data)
    for step in data.draw(st.lists(st.sampled_from(STEPS), max_size=40)):
        getattr(story, step)()
    net = story.net
    net.wait(EXPIRE_S + BEAT_S)
    net.check_agreement()
    net.wait(TOMBSTONE_S + 1)
    net.check_agreement()
    for peer in net.peers:
        assert peer.table.size == len(peer.table.alive)
        assert all(link._versions.keys() <= peer.table.alive.keys() for link in peer.table._links.values())


@pytest.mark.slow
def test_thirty_nodes_in_a_random_net_agree_after_a_thousand_troubles() -> None:
    chance = random.Random(7)
    net = Net()
    for _ in range(30):
        net.add()
    for _ in range(1000):
        pick = chance.random()
        one, two = chance.sample(net.peers, 2)
        if pick < 0.5:
            net.connect(one, two)
        elif pick < 0.8:
            net.cut(one, two)
        elif pick < 0.9:
            net.kill(one)
            net.add()
        else:
            net.wait(1)
    for one in net.peers:
        net.connect(net.peers[0], one)
    net.wait(EXPIRE_S + BEAT_S + TOMBSTONE_S)
    net.check_agreement()
    assert {peer.table.size for peer in net.peers} == {30}


@given(json_values)
def test_entries_of_a_stranger_are_entries_or_a_frame_error(value: Any) -> None:
    try:
        decode_body(json.dumps(value).encode(), NodeEntries)
    except FrameError:
        return
    assert isinstance(value, dict)


@pytest.mark.parametrize("node", ["", "0" * 31, "0" * 33, "A" * 32, "0" * 32 + "\n", "\n" + "0" * 32])
def test_an_id_of_another_form_is_refused(node: str) -> None:
    with pytest.raises(FrameError, match="regex"):
        decode_body(json.dumps({"wanted": [node]}).encode(), NodeEntries)


_ids = st.integers(0, 3).map(lambda number: f"{number:032x}")
_entries = st.builds(
    NodeEntry,
    _ids,
    st.integers(0, 2**53 - 1),
    st.integers(0, 2**53 - 1),
    st.integers(0, 3_600_000),
    gone=st.booleans(),
    sockets=st.none() | st.just([]),
)


@given(
    st.lists(st.builds(NodeEntries, st.lists(_entries, max_size=5), st.lists(_ids, max_size=5)), max_size=10)
)
def test_entries_that_nobody_honest_writes_never_raise_and_this_node_stays(
    messages: list[NodeEntries],
) -> None:
    table = Membership(f"{0:032x}", REALM, lambda up, one: None, 0.0)
    table.open_link("link", 0.0)
    for number, message in enumerate(messages):
        kind, body = decode_control(encode_control(FrameKind.ENTRIES, message))
        assert kind is FrameKind.ENTRIES
        table.receive("link", decode_body(body, NodeEntries), float(number))
        while (answer := table.outgoing("link", float(number))) is not None:
            assert decode_body(msgspec.json.encode(answer), NodeEntries) == answer
    assert f"{0:032x}" in table.alive

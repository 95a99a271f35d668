"""From facts to findings: each check, without a network."""

from typing import Any

import msgspec
import pytest

from colugo.diagnosis.doctor import examine
from colugo.diagnosis.facts import Facts, HostFact, InterfaceFact, Multicast, PeerFact, Reach
from colugo.diagnosis.finding import Finding, Level, worst
from colugo.diagnosis.number_formats import count, duration, some
from colugo.diagnosis.verdicts import Fit, fit
from colugo.diagnosis.why import explain
from colugo.protocol.advertisement import cut_codec
from colugo.protocol.description.node_description import (
    KnownSocket,
    NodeDescription,
    PeerDescription,
)
from colugo.protocol.description.socket_descriptions import (
    LinkDescription,
    PublisherDescription,
    ReaderDescription,
    ReplyServerDescription,
    RequestClientDescription,
    SubscriberDescription,
    SurveyorDescription,
)
from colugo.protocol.description.stream_descriptions import (
    ConsumerDescription,
    GroupDescription,
    StreamDescription,
)

T = "lab.temperature"
HERE, THERE = "10.0.0.1", "10.0.0.2"


def node(name: str, address: str, host: str, **parts: object) -> NodeDescription:
    return NodeDescription(
        name=name,
        uuid=name * 8,
        addresses=[address],
        host_id=host,
        host_name=f"host-{host}",
        version="1",
        wire_version="2",
        pid=7,
        **parts,  # type: ignore[arg-type]
    )


def socket(of: NodeDescription, kind: str, topic: str, port: int, codec: str = "plain") -> KnownSocket:
    return KnownSocket(
        socket_id=f"{of.name}{port}",
        kind=kind,
        topic=topic,
        node=of.name,
        node_id=of.uuid,
        addresses=tuple(of.addresses),
        port=port,
        realm=of.realm,
        codec=codec,
        host_id=of.host_id,
    )


def link(**how: object) -> LinkDescription:
    return LinkDescription(
        **{
            "socket_id": "a1",
            "node": "a",
            "topic": T,
            "endpoint": f"tcp://{THERE}:1",
            "connected": True,
            **how,
        }  # type: ignore[arg-type]
    )


class World:
    """Node a over there publishes, node b here subscribes, and all is well."""

    def __init__(self) -> None:
        self.publisher = PublisherDescription(T, "a1", subscribers=1, readers=[ReaderDescription("r")])
        self.a = node("a", THERE, "2", publishers=[self.publisher])
        self.subscriber = SubscriberDescription(T, "r", links=[link(received=100)], received=100)
        self.b = node("b", HERE, "1", subscribers=[self.subscriber])
        self.socket = socket(self.a, "pub", T, 1)
        endpoints = [socket(self.a, "node", "node", 2), socket(self.b, "node", "node", 3)]
        self.b.known = [self.socket]
        sockets = {one.socket_id: one for one in (self.socket, *endpoints)}
        self.facts = Facts(
            host_id="1",
            interfaces=[InterfaceFact("eth0", HERE, 24, Multicast.WORKS)],
            sockets=sockets,
            discovered=set(sockets),
            answered_from={THERE},
            nodes={one.uuid: one for one in (self.a, self.b)},
            skew_ms={self.a.uuid: 20.0, self.b.uuid: 0.1},
            reach={(address, one.port): Reach.OPEN for one in sockets.values() for address in one.addresses},
        )

    def fail(self, reach: Reach) -> None:
        """Let nobody connect to a, which does not answer either."""
        for key in self.facts.reach:
            if key[0] == THERE:
                self.facts.reach[key] = reach
        del self.facts.nodes[self.a.uuid]
        self.facts.silent[self.a.uuid] = "silent"
        self.subscriber.links = [link(connected=False, since_ms=9000)]


def bad(findings: list[Finding]) -> list[Finding]:
    return [one for one in findings if one.level is not Level.OK]


def only(findings: list[Finding]) -> Finding:
    (found,) = bad(findings)
    return found


def saying(findings: list[Finding], *words: str) -> Finding:
    found = [one for one in bad(findings) if all(word in one.text for word in words)]
    assert found, findings
    assert all(one.advice for one in found)
    return found[0]


def test_nothing_is_wrong_where_all_is_well() -> None:
    facts = World().facts
    assert bad(examine(facts)) == []
    (verdict,) = explain(facts, T)
    assert verdict.level is Level.OK
    assert (
        verdict.text == "node a → node b's subscriber of lab.temperature: connected, 100 messages, none lost"
    )


@pytest.mark.parametrize(
    ("reach", "words"),
    [
        (Reach.REFUSED, ("stale record: ", "nothing listens there")),
        (Reach.SILENT, ("packets are dropped",)),
        (Reach.NO_HOST, ("dead address", "no machine on this network")),
        (Reach.UNREACHABLE, ("dead address", "cannot be reached")),
    ],
)
def test_what_is_discovered_and_does_not_answer_is_wrong(reach: Reach, words: tuple[str, ...]) -> None:
    world = World()
    world.fail(reach)
    finding = saying(examine(world.facts), "node a (10.0.0.2) was discovered", *words)
    assert finding.level is Level.WRONG
    saying(explain(world.facts, T), "node b's subscriber of lab.temperature is not connected to node a")


def test_one_dead_address_among_others_of_this_network_is_a_warning() -> None:
    world = World()
    several = KnownSocket(
        "a9", "pub", "x", "a", world.a.uuid, (THERE, "10.0.0.9", "192.0.2.1", "fe80::9"), 9, host_id="2"
    )
    world.facts.sockets["a9"] = several
    world.publisher.subscribers = 1
    world.facts.reach |= {
        (THERE, 9): Reach.OPEN,
        ("10.0.0.9", 9): Reach.NO_HOST,
        ("192.0.2.1", 9): Reach.SILENT,  # of another network, which is none of our business
        ("fe80::9", 9): Reach.NO_HOST,  # of another link, perhaps
    }
    world.facts.interfaces.append(InterfaceFact("eth0", "fe80::1", 64))
    dead = [one for one in examine(world.facts) if "dead address" in one.text]
    assert [(one.level, "10.0.0.9" in one.text) for one in dead] == [(Level.WARNING, True)]


def test_a_socket_that_only_a_node_knows_and_nobody_hears_is_stale() -> None:
    world = World()
    gone = KnownSocket("c1", "pub", "x", "c", "c" * 8, ("10.0.0.3",), 5, host_id="3")
    world.facts.sockets["c1"] = gone
    world.b.known.append(gone)
    world.facts.reach["10.0.0.3", 5] = Reach.REFUSED
    saying(
        examine(world.facts), "stale record: node c (10.0.0.3) is known to node b", "nothing listens there"
    )


@pytest.mark.parametrize(
    ("outcome", "error", "words"),
    [
        (Multicast.NOT_SENT, "not permitted", "failed: not permitted"),
        (Multicast.NOT_RECEIVED, "", "did not come back"),
        (Multicast.NOT_ANSWERED, "", "answer was dropped"),
    ],
)
def test_multicast_that_fails_is_wrong(outcome: Multicast, error: str, words: str) -> None:
    world = World()
    world.facts.interfaces = [InterfaceFact("eth0", HERE, 24, outcome, error)]
    assert only(examine(world.facts)).text.endswith(words) or words in only(examine(world.facts)).text


def test_a_host_that_answers_only_when_asked_directly_is_behind_a_network_without_multicast() -> None:
    world = World()
    world.facts.hosts = [HostFact("10.0.0.7", answered=True), HostFact("10.0.0.8", answered=False)]
    assert "10.0.0.7 has colugo nodes" in only(examine(world.facts)).text


def test_a_host_that_was_named_and_is_silent_is_wrong() -> None:
    world = World()
    world.facts.hosts = [
        HostFact("10.0.0.8", answered=False, given=True),
        HostFact(THERE, answered=True, given=True),
    ]
    assert "10.0.0.8 answers neither" in only(examine(world.facts)).text


def test_a_host_that_cannot_be_asked_is_wrong_with_the_reason() -> None:
    world = World()
    world.facts.hosts = [HostFact("nowhere", answered=False, given=True, error="name not known")]
    finding = only(examine(world.facts))
    assert finding.text == "nowhere cannot be queried: name not known"
    assert "firewall" not in finding.advice


def test_an_address_is_listed_once_with_its_zone_or_without() -> None:
    world = World()
    world.a.addresses = [THERE, "fe80::2%eth0"]
    world.facts.sockets["a1"] = KnownSocket("a1", "pub", T, "a", world.a.uuid, (THERE, "fe80::2"), 1)
    assert world.facts.addresses_of(world.a.uuid) == [THERE, "fe80::2"]


def test_a_port_5353_that_is_not_shared_is_wrong() -> None:
    world = World()
    world.facts.port_error, world.facts.port_holders = "Address already in use", ["dnsd"]
    world.facts.interfaces = [InterfaceFact("eth0", HERE, 24)]
    assert "held exclusively by dnsd" in only(examine(world.facts)).text


def test_a_scope_without_an_address_is_wrong() -> None:
    world = World()
    world.facts.interfaces = []
    assert "no address in scope" in only(examine(world.facts)).text


def test_clocks_more_than_a_second_apart_are_a_warning() -> None:
    world = World()
    world.facts.skew_ms[world.a.uuid] = -3200
    finding = only(examine(world.facts))
    assert (finding.level, finding.check) == (Level.WARNING, "clocks")
    assert "host-2 at 10.0.0.2 (node a) is 3.2 s behind this machine's" in finding.text


def test_versions_that_differ_are_named_with_their_nodes() -> None:
    world = World()
    world.a.version = "0.9"
    assert "0.9 (a); 1 (b)" in only(examine(world.facts)).text
    world.a.wire_version = "3"
    assert worst(examine(world.facts)) is Level.WRONG


def test_records_that_are_not_understood_are_wrong() -> None:
    world = World()
    world.facts.ignored = {
        "x-1._colugo._tcp.local.": "version '9', this is '2'",
        "x-2._colugo._tcp.local.": "unknown kind 'lamp'",
        "y": "no key 'i'",
    }
    first, second, third = bad(examine(world.facts))
    assert "x-1 is of another version" in first.text
    assert "x-2 is of another version" in second.text
    assert "y is malformed" in third.text


def test_static_peers_that_do_not_answer_are_wrong() -> None:
    world = World()
    world.facts.peers = [
        PeerFact("h:1", Reach.OPEN, node="a", realm="default"),
        PeerFact("h:7", Reach.OPEN, node="x", realm="else"),
        PeerFact("h:2", Reach.REFUSED, "refused"),
        PeerFact("h:3", Reach.OPEN, "that is no answer"),
        PeerFact("h:4", None, "unknown name"),
    ]
    world.b.peers = [PeerDescription("h:5", "not linked"), PeerDescription("h:6", "linked")]
    texts = " ".join(one.text for one in bad(examine(world.facts)))
    assert "h:1" not in texts
    assert "h:6" not in texts
    assert all(f"h:{number}" in texts for number in (2, 3, 4, 5))
    assert "h:7 in COLUGO_PEERS is node x in realm else, not in default" in texts


def test_nobody_at_all_and_only_other_realms_are_warnings() -> None:
    facts = Facts(interfaces=[InterfaceFact("eth0", HERE, 24, Multicast.WORKS)])
    assert "no nodes found" in only(examine(facts)).text
    world = World()
    world.facts.realm = "mine"
    saying(examine(world.facts), "0 nodes in realm mine", "other realms: default (2)")


# --- pairs


def test_a_node_that_holds_its_loop_is_a_warning() -> None:
    world = World()
    del world.facts.nodes[world.a.uuid]
    world.facts.silent[world.a.uuid] = "no answer within 2000 ms"
    saying(examine(world.facts), "node a does not describe itself", "2000 ms")
    assert "no answer from a" in only(explain(world.facts, T)).text


def test_codecs_that_differ_are_wrong_before_anything_has_been_sent() -> None:
    world = World()
    world.publisher.codec, world.subscriber.codec = "protobuf lab.Temperature", "json"
    world.subscriber.links = [link()]
    text = "node b's subscriber of lab.temperature expects json, node a publishes protobuf lab.Temperature"
    assert only(explain(world.facts, T)).text == text
    assert only(examine(world.facts)).level is Level.WRONG


def test_messages_that_do_not_decode_are_wrong_whatever_the_codecs_are_called() -> None:
    world = World()
    world.subscriber.links = [link(received=5, undecodable=3, last_error="bad byte")]
    assert "3 messages did not decode (bad byte)" in only(explain(world.facts, T)).text


@pytest.mark.parametrize(
    ("offered", "wanted", "how"),
    [
        ("json", "json", Fit.SAME),
        ("plain", "json", Fit.LOOSE),
        ("json", "plain", Fit.LOOSE),
        ("msgpack", "msgpack Reading", Fit.LOOSE),
        ("msgpack Reading", "msgpack Order", Fit.OTHER_TYPE),
        ("json", "protobuf lab.Temperature", Fit.NOT),
    ],
)
def test_codecs_go_together_by_their_names(offered: str, wanted: str, how: Fit) -> None:
    assert fit(offered, wanted, cut=False) is how


@pytest.mark.parametrize("name", ["protobuf logistics.warehouse.v1.Temperature", "msgpack " + "é" * 40])
def test_a_codec_of_a_long_type_fits_its_own_advertisement_and_no_other(name: str) -> None:
    cut = cut_codec(name)
    assert len(cut.encode()) <= 32
    assert cut.endswith(name[-10:])
    assert fit(cut, name, cut=True) is Fit.SAME
    assert fit(cut, name + "x", cut=True) is Fit.OTHER_TYPE


def test_a_full_queue_says_how_many_are_lost_and_why() -> None:
    world = World()
    world.subscriber.dropped, world.subscriber.queue, world.subscriber.queue_limit = 3, 10, 10
    world.subscriber.links = [link(received=1200)]
    finding = only(explain(world.facts, T))
    assert "connected, 3 of 1,200 messages lost: node b's queue is full (slow callback" in finding.text
    assert finding.level is Level.WRONG
    world.subscriber.queue = 0
    assert only(examine(world.facts)).level is Level.WARNING


def test_a_reader_that_is_behind_is_wrong_and_losses_of_the_past_are_a_warning() -> None:
    world = World()
    world.publisher.readers = [ReaderDescription("r", behind=True, skipped=40)]
    finding = only(explain(world.facts, T))
    assert (finding.level, "node b is behind, and 40 messages" in finding.text) == (Level.WRONG, True)
    world.publisher.readers = [ReaderDescription("r")]
    world.subscriber.links = [link(received=90, lost=10)]
    finding = only(examine(world.facts))
    assert (finding.level, "10 of 100 messages lost" in finding.text) == (Level.WARNING, True)


def test_a_reader_that_handles_nothing_is_a_warning() -> None:
    world = World()
    world.publisher.readers = [ReaderDescription("r", unhandled=2, quiet_ms=5000)]
    assert "node b has handled nothing for 5.0 s" in only(explain(world.facts, T)).text


def test_an_attempt_that_has_just_begun_is_not_wrong_yet() -> None:
    world = World()
    world.subscriber.links = [link(connected=False, since_ms=200)]
    assert only(explain(world.facts, T)).level is Level.WARNING


def test_one_that_has_not_heard_of_the_other_is_behind_a_network_without_multicast_or_in_scope_host() -> None:
    world = World()
    world.subscriber.links, world.b.known = [], []
    assert "multicast does not get through" in only(explain(world.facts, T)).advice
    world.a.addresses = ["127.0.0.1"]
    for key, one in world.facts.sockets.items():
        if one.node == "a":
            world.facts.sockets[key] = msgspec.structs.replace(one, addresses=("127.0.0.1",))
    assert "node a is in scope host (this machine only), node b is not" in only(explain(world.facts, T)).text


def test_a_request_client_and_its_server_are_a_pair() -> None:
    world = World()
    server = ReplyServerDescription("r", "a5", requests=7)
    client = RequestClientDescription("r", sent=7, links=[link(socket_id="a5", topic="r")])
    world.a.reply_servers, world.b.request_clients = [server], [client]
    world.facts.sockets["a5"] = socket(world.a, "rep", "r", 5)
    world.facts.reach[THERE, 5] = Reach.OPEN
    assert bad(explain(world.facts, "r")) == []
    client.timeouts = 2
    assert "2 were not answered in time" in only(explain(world.facts, "r")).text
    server.codec, client.codec = "json", "msgpack"
    assert (
        "node b's request client of r expects msgpack, node a answers json"
        in only(explain(world.facts, "r")).text
    )


def test_a_topic_of_another_kind_or_realm_or_nearly_that_name_is_pointed_out() -> None:
    world = World()
    lonely = NodeDescription("c", "c" * 8, request_clients=[RequestClientDescription(T)])
    world.facts.nodes[lonely.uuid] = lonely
    assert "node a has a publisher of that topic" in saying(explain(world.facts, T), "node c").text
    lonely.request_clients, lonely.subscribers = [], [SubscriberDescription("Lab.Temprature")]
    assert "there is lab.temperature" in saying(examine(world.facts), "node c's subscriber").text
    lonely.subscribers, lonely.realm = [SubscriberDescription("lab.*")], "else"
    text = "node c's subscriber of lab.* is in realm else, but the publisher is on node a in realm default"
    assert saying(explain(world.facts, T), "node c").text == text


def test_the_faults_of_another_realm_are_its_own_business() -> None:
    world = World()
    world.fail(Reach.REFUSED)
    assert worst(examine(world.facts)) is Level.WRONG
    mine = node("c", HERE, "1", realm="mine", publishers=[PublisherDescription("x", "c1", subscribers=1)])
    world.facts.nodes[mine.uuid] = mine
    world.facts.realm = "mine"
    assert (
        worst(examine(world.facts)) is Level.WRONG
    )  # an empty realm covers all, because the user may mean another one
    own = socket(mine, "pub", "x", 1)
    world.facts.sockets["c1"] = own
    world.facts.reach[HERE, 1] = Reach.OPEN
    assert bad(examine(world.facts)) == []
    finding = only(explain(world.facts, T))
    assert finding.text.endswith("uses lab.temperature; it is in realm default")
    world.facts.realm = "default"
    assert worst(examine(world.facts)) is Level.WRONG


def test_surveyors_want_respondents_and_nothing_else() -> None:
    world = World()
    asker = NodeDescription("c", "c" * 8, surveyors=[SurveyorDescription("who")])
    world.facts.nodes[asker.uuid] = asker
    assert "has no respondent" in only(bad(list(explain(world.facts, "who")))).text
    asker.surveyors = [SurveyorDescription(T)]
    assert (
        "has no respondent: node a has a publisher" in saying(list(explain(world.facts, T)), "surveyor").text
    )


class StreamWorld:
    """Node a over there has a stream, node b here consumes it in group billing, and all is well."""

    def __init__(self) -> None:
        self.world = World()
        self.group = GroupDescription("billing", members=1, acknowledged=100)
        self.stream = StreamDescription("orders", "a9", "json", groups=[self.group], sent=100)
        to_stream = link(socket_id="a9", topic="orders", received=100)
        self.consumer = ConsumerDescription(
            "orders", "billing", codec="json", received=100, links=[to_stream]
        )
        self.world.a.streams = [self.stream]
        self.world.b.consumers = [self.consumer]
        self.facts = self.world.facts
        self.facts.sockets["a9"] = socket(self.world.a, "stream", "orders", 9, "json")
        self.facts.reach[THERE, 9] = Reach.OPEN


def test_a_stream_and_its_consumer_are_well() -> None:
    facts = StreamWorld().facts
    assert bad(examine(facts)) == []
    (verdict,) = explain(facts, "orders")
    assert verdict.level is Level.OK
    text = "node a → node b's consumer of orders (group billing): connected, 100 messages, none failed"
    assert verdict.text == text


def test_a_stream_that_nobody_consumes_is_named() -> None:
    world = StreamWorld()
    world.world.b.consumers = []
    world.stream.groups = []
    text = "node a's stream of orders has no consumer in realm default"
    assert only(explain(world.facts, "orders")).text == text
    finding = only(examine(world.facts))
    assert finding.text == "no consumer in realm default for orders of node a"
    assert "kept" in finding.advice
    world.stream.groups = [world.group]  # on a node that is not discovered
    assert bad(examine(world.facts)) == bad(explain(world.facts, "orders")) == []


def test_a_consumer_without_a_stream_is_named() -> None:
    world = StreamWorld()
    world.consumer.links = []
    world.consumer.topic = "order"
    found = saying(explain(world.facts, "order"), "consumer of order (group billing) has no stream")
    assert found.text.endswith("there is orders")
    saying(examine(world.facts), "consumer of order (group billing) has no stream")
    world.consumer.topic = T
    saying(explain(world.facts, T), "has no stream: node a has a publisher of that topic")


def test_a_stream_and_a_consumer_with_other_codecs_do_not_talk() -> None:
    world = StreamWorld()
    world.consumer.codec = "msgpack"
    world.consumer.links[0].received = 0
    text = "node b's consumer of orders (group billing) expects msgpack, node a sends json"
    assert only(explain(world.facts, "orders")).text == text
    world.consumer.links[0].undecodable = 3
    assert only(explain(world.facts, "orders")).text == f"{text}: 3 messages did not decode"


def test_a_consumer_that_has_not_heard_of_the_stream_is_wrong() -> None:
    world = StreamWorld()
    world.consumer.links = []
    found = only(explain(world.facts, "orders"))
    assert "consumer of orders (group billing) has not discovered node a's stream" in found.text


@pytest.mark.parametrize(
    ("stream", "text"),
    [
        ({"dead": 1}, "node a's stream of orders has 1 dead letter"),
        ({"rejected": 2}, "was full and rejected 2 messages"),
        (
            {"dropped": 1200, "expired": 3},
            "dropped 1,203 messages before they were acknowledged, 1,200 because it was full and 3 because",
        ),
        (
            {
                "groups": [
                    GroupDescription("gone", waiting=5),
                    GroupDescription("billing", members=1, waiting=9),
                ]
            },
            "keeps 5 messages for group gone, which has no consumer",
        ),
        ({"malformed": 1}, "node a received 1 malformed frame on orders"),
    ],
)
def test_what_streams_keep_let_go_or_do_not_take_is_told(stream: dict[str, Any], text: str) -> None:
    world = StreamWorld()
    world.world.a.streams = [msgspec.structs.replace(world.stream, **stream)]
    assert text in only(examine(world.facts)).text
    if "malformed" not in stream:
        assert text in only(explain(world.facts, "orders")).text


def test_groups_that_need_nothing_to_be_kept_are_not_told_of() -> None:
    world = StreamWorld()
    world.stream.groups += [GroupDescription("idle"), GroupDescription("passing", durable=False, waiting=5)]
    assert bad(examine(world.facts)) == []


def test_callbacks_of_a_consumer_that_fail_are_a_warning() -> None:
    world = StreamWorld()
    world.consumer.failed = 2
    found = only(explain(world.facts, "orders"))
    assert found.level is Level.WARNING
    assert "100 messages, 2 callbacks failed" in found.text


def test_a_topic_that_nobody_has_is_wrong_and_its_neighbours_are_named() -> None:
    facts = World().facts
    assert "there is lab.temperature" in only(explain(facts, "lab/Temperatur")).text
    assert "known topics: lab.temperature" in only(explain(facts, "weather")).text
    assert "no nodes found" in only(explain(Facts(), "weather")).text


def test_subscribers_of_nodes_that_are_not_heard_are_told_of() -> None:
    world = World()
    world.publisher.readers.append(ReaderDescription("stranger"))
    assert any("1 more subscriber on nodes not discovered" in one.text for one in explain(world.facts, T))


def test_a_plain_socket_that_is_given_by_its_address_is_told_of() -> None:
    world = World()
    world.subscriber.links.append(link(socket_id="00", topic="", endpoint="tcp://10.0.0.5:9"))
    assert any("the plain ZeroMQ socket at tcp://10.0.0.5:9" in one.text for one in explain(world.facts, T))
    world.subscriber.links[1].connected = False
    saying(explain(world.facts, T), "not connected to tcp://10.0.0.5:9")


def test_nodes_of_one_name_are_told_apart() -> None:
    world = World()
    world.a.name = "b"
    assert world.facts.label(world.a.uuid) == "b (10.0.0.2, pid 7)"


def test_numbers_and_lists_read_well() -> None:
    assert (count(1, "node"), count(1200, "node"), count(2, "reply", "replies")) == (
        "1 node",
        "1,200 nodes",
        "2 replies",
    )
    assert (some("abc"), some("abcdef")) == ("a, b, c", "a, b, c, d and 2 more")
    assert (duration(40), duration(3200), duration(600_000)) == ("40 ms", "3.2 s", "10 min")

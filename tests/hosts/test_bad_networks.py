"""Networks that lose, delay and reorder packets, or are slow: everything works, and loss is counted."""

from collections.abc import Callable

import pytest

from tests.support.namespaces import Host, Hosts, require_namespaces
from tests.support.peers import Peer, meshed

REQUESTS = 100
MESSAGES = 100
COUNT = 3


def lose_2_percent(host: Host) -> None:
    host.cable.lose(0.02, "out")  # on the way from any host to any other


def lose_10_percent(host: Host) -> None:
    host.cable.lose(0.1, "out")


def delay_and_reorder(host: Host) -> None:
    host.cable.delay(50, "out")
    host.cable.reorder(0.25, 20, "out")


def all_at_once(host: Host) -> None:
    host.cable.lose(0.05, "out")
    delay_and_reorder(host)


def one_megabit(host: Host) -> None:
    host.limit("1mbit")


BAD: list[Callable[[Host], None]] = [
    lose_2_percent,
    lose_10_percent,
    delay_and_reorder,
    all_at_once,
    one_megabit,
]


def settled(peers: list[Peer]) -> None:
    """Check that each subscriber has received or counted as lost every message since its connection."""
    for sender in peers:
        sent = sender.count()["publisher"]["sent"]
        assert sent >= MESSAGES
        for reader in peers:
            counted = reader.count_until(
                lambda counted: sum(counted["streams"][sender.name].values()) == sent,  # noqa: B023 - at once
                30,
            )
            print(f"{reader.name} of {sender.name}: {counted['streams'][sender.name]}")
            assert counted["subscriber"]["unknown"] == counted["subscriber"]["malformed"] == 0
            assert counted["callback_errors"] == 0


def all_requests_end(peers: list[Peer]) -> None:
    """Check that each request ended with a reply, a timeout or the loss of its server."""
    for peer in peers:
        counted = peer.count_until(lambda counted: not counted["client"]["pending"])
        asked = counted["client"]
        print(f"{peer.name} asked: {asked}")
        assert asked["sent"] >= REQUESTS
        assert asked["sent"] == asked["replies"] + asked["timeouts"] + asked["lost"]
        assert asked["replies"] > 0.5 * asked["sent"]


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.parametrize("spoil", BAD)
def test_on_a_bad_network_all_meet_and_every_message_and_request_is_accounted_for(
    spoil: Callable[[Host], None],
) -> None:
    require_namespaces()
    with Hosts(COUNT, cabled=True) as hosts:
        for host in hosts:
            spoil(host)
        with meshed(hosts, timeout_ms=2000) as peers:
            for peer in peers:
                found = [event["t"] - peer.found("starts")[0]["t"] for event in peer.found("connected")]
                print(f"{peer.name} was connected after {max(found):.2f} s at most")
            for peer in peers:
                peer.send(20)
                peer.ask(20)
            for peer in peers:
                peer.count_until(
                    lambda counted: (
                        counted["publisher"]["sent"] >= MESSAGES and counted["client"]["sent"] >= REQUESTS
                    ),
                    30,
                )
                peer.send(0)
                peer.ask(0)
            settled(peers)
            all_requests_end(peers)
            for peer in peers:
                peer.stop()


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_more_than_a_slow_link_carries_is_lost_and_counted_and_requests_are_still_answered() -> None:
    require_namespaces()
    with Hosts(2, cabled=True) as hosts, meshed(hosts, timeout_ms=8000, bytes=20_000, hwm=10) as (a, b):
        a.host.limit("1mbit")
        a.send(20)  # 8 Mbit/s
        b.ask(100)
        a.count_until(lambda counted: counted["publisher"]["sent"] >= 500, 60)
        b.ask(0)
        a.send(0)
        sent = a.count()["publisher"]["sent"]
        counted = b.count_until(lambda counted: sum(counted["streams"]["a"].values()) == sent, 60)
        print(f"of {sent}: {counted['streams']['a']}, asked: {counted['client']}")
        assert counted["streams"]["a"]["lost"] > 0
        asked = b.count_until(lambda counted: not counted["client"]["pending"])["client"]
        assert asked["sent"] == asked["replies"] + asked["timeouts"] + asked["lost"]
        assert asked["replies"] > 0
        own = a.count()["streams"]["a"]
        assert own == {"received": sent, "lost": 0}

"""The advertisements that a node knows, and the order in which its sockets learn of them."""

from colugo.net.directory import DirectoryChange, DirectoryEvent
from colugo.net.registry import Registry, Watch
from colugo.protocol.advertisement import Advertisement, SocketKind

THERE = Advertisement(bytes(8), SocketKind.PUBLISHER, "t", "n", bytes(16), addresses=("10.0.0.1",), port=1)


def test_all_hear_last_that_a_peer_is_there_if_one_of_them_vouches_for_it_when_it_is_lost() -> None:
    registry = Registry("default")
    heard: dict[str, list[DirectoryChange]] = {"one": [], "two": []}

    def vouch(change: DirectoryChange, peer: Advertisement) -> None:
        heard["one"].append(change)
        if change is DirectoryChange.LOST:
            registry.on_event(DirectoryEvent(DirectoryChange.UP, peer))

    registry.watch(Watch(SocketKind.PUBLISHER, "t", vouch))
    registry.watch(Watch(SocketKind.PUBLISHER, "t", lambda change, _: heard["two"].append(change)))
    for change in (DirectoryChange.UP, DirectoryChange.LOST):
        registry.on_event(DirectoryEvent(change, THERE))
    assert heard["one"] == heard["two"] == [DirectoryChange.UP, DirectoryChange.LOST, DirectoryChange.UP]
    assert registry.known == [THERE]


def test_one_that_raises_does_not_keep_later_events_from_the_others() -> None:
    registry = Registry("default")
    heard: list[DirectoryChange] = []

    def fail(change: DirectoryChange, peer: Advertisement) -> None:
        del peer
        if change is DirectoryChange.UP:
            raise RuntimeError("not now")
        heard.append(change)

    registry.watch(Watch(SocketKind.PUBLISHER, "t", fail))
    try:
        registry.on_event(DirectoryEvent(DirectoryChange.UP, THERE))
    except RuntimeError:
        registry.on_event(DirectoryEvent(DirectoryChange.DOWN, THERE))
    assert heard == [DirectoryChange.DOWN]

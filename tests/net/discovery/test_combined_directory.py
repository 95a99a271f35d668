"""Several directories as one: a socket is known once, until the last directory drops it."""

import dataclasses

from colugo.net.directory import DirectoryChange, DirectoryEvent, DirectoryStatus, Listener
from colugo.net.discovery.combined_directory import CombinedDirectory
from colugo.protocol.advertisement import Advertisement, SocketKind
from tests.support.essentials import run

ONE = Advertisement(b"1" * 8, SocketKind.PUBLISHER, "t", "n", bytes(16), addresses=("192.0.2.1",), port=5)
OTHER = dataclasses.replace(ONE, addresses=("192.0.2.2",))


class Fake:
    """A directory whose events come from the test."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Advertisement]] = []
        self.listener: Listener = print
        self.is_open = False
        self.status = DirectoryStatus()

    async def open(self, listener: Listener) -> None:
        self.listener = listener
        self.is_open = True

    def advertise(self, advertisement: Advertisement) -> None:
        self.calls.append(("advertise", advertisement))

    def withdraw(self, advertisement: Advertisement) -> None:
        self.calls.append(("withdraw", advertisement))

    def suspect(self, advertisement: Advertisement) -> None:
        self.calls.append(("suspect", advertisement))

    def vouch(self, advertisement: Advertisement) -> None:
        self.calls.append(("vouch", advertisement))

    async def close(self) -> None:
        self.is_open = False

    def say(self, change: DirectoryChange, advertisement: Advertisement) -> None:
        self.listener(DirectoryEvent(change, advertisement))


class Both:
    """Two directories, and the events of their combination."""

    def __init__(self) -> None:
        self.first, self.second = Fake(), Fake()
        self.told: list[tuple[DirectoryChange, Advertisement]] = []
        self.overheard: list[DirectoryChange] = []
        self.directory = CombinedDirectory(
            [self.first, self.second], observer=lambda event: self.overheard.append(event.change)
        )
        run(self.directory.open(lambda event: self.told.append((event.change, event.advertisement))))


def test_it_goes_when_the_last_one_drops_it() -> None:
    both = Both()
    both.first.say(DirectoryChange.UP, ONE)
    both.second.say(DirectoryChange.UP, ONE)
    both.first.say(DirectoryChange.DOWN, ONE)
    assert DirectoryChange.DOWN not in [change for change, _ in both.told]
    both.second.say(DirectoryChange.DOWN, ONE)
    assert both.told[-1] == (DirectoryChange.DOWN, ONE)
    assert both.directory._known == {}


def test_the_first_ones_word_counts_as_long_as_it_has_one() -> None:
    both = Both()
    both.second.say(DirectoryChange.UP, OTHER)
    assert both.told == [(DirectoryChange.UP, OTHER)]
    both.first.say(DirectoryChange.UP, ONE)
    assert both.told[1:] == [(DirectoryChange.UP, ONE)]
    both.second.say(DirectoryChange.UP, OTHER)
    assert all(event == (DirectoryChange.UP, ONE) for event in both.told[1:])
    both.first.say(DirectoryChange.DOWN, ONE)
    assert both.told[-1] == (DirectoryChange.UP, OTHER)


def test_what_is_dropped_without_having_been_known_is_told_all_the_same() -> None:
    both = Both()
    both.second.say(DirectoryChange.DOWN, ONE)
    assert both.told == [(DirectoryChange.DOWN, ONE)]
    assert both.directory._known == {}


def test_who_is_lost_by_both_is_lost_in_the_way_of_the_last() -> None:
    both = Both()
    both.first.say(DirectoryChange.UP, ONE)
    both.second.say(DirectoryChange.UP, ONE)
    both.second.say(DirectoryChange.DOWN, ONE)
    both.first.say(DirectoryChange.LOST, ONE)
    assert both.told[-1] == (DirectoryChange.LOST, ONE)


def test_only_those_who_had_lost_it_are_asked_to_take_it_back() -> None:
    both = Both()
    for fake in (both.first, both.second):
        fake.say(DirectoryChange.UP, ONE)
    both.first.say(DirectoryChange.LOST, ONE)
    both.directory.vouch(ONE)
    assert both.first.calls == [("vouch", ONE)]
    assert both.second.calls == []
    both.first.say(DirectoryChange.UP, ONE)
    both.directory.vouch(ONE)
    assert both.first.calls == [("vouch", ONE)]


def test_what_never_comes_back_is_not_remembered_without_bound() -> None:
    both = Both()
    for number in range(10_000):
        both.first.say(DirectoryChange.LOST, dataclasses.replace(ONE, socket_id=number.to_bytes(8, "big")))
    assert len(both.directory._lost_by) <= 4096
    assert both.directory._known == {}


def test_all_of_them_are_told_what_this_node_has_and_whom_it_suspects_and_are_closed() -> None:
    both = Both()
    both.directory.advertise(ONE)
    both.directory.suspect(OTHER)
    both.directory.withdraw(ONE)
    for fake in (both.first, both.second):
        assert fake.calls == [("advertise", ONE), ("suspect", OTHER), ("withdraw", ONE)]
    run(both.directory.close())
    assert not both.first.is_open
    assert not both.second.is_open


def test_only_the_first_one_is_overheard() -> None:
    both = Both()
    both.second.say(DirectoryChange.UP, ONE)
    both.first.say(DirectoryChange.UP, ONE)
    both.first.say(DirectoryChange.DOWN, ONE)
    assert both.overheard == [DirectoryChange.UP, DirectoryChange.DOWN]

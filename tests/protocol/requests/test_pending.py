"""The table of requests in flight, against the simplest table that does the same."""

from dataclasses import dataclass

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

import tests.support.strategies  # noqa: F401 - loads hypothesis' profile
from colugo.protocol.requests import pending
from colugo.protocol.requests.pending import PendingRequests

SERVERS = ["x", "y", "z"]
servers = st.sampled_from(SERVERS)


@dataclass
class Entry:
    request: str
    deadline: float
    server: str | None = None


class Table(RuleBasedStateMachine):
    """A machine that does the same with a PendingRequests and with a dict, and compares them."""

    def __init__(self) -> None:
        super().__init__()
        self.table: PendingRequests[str] = PendingRequests()
        self.model: dict[int, Entry] = {}
        self.ended: list[int] = []
        self.now = 0.0

    def numbers(self) -> st.SearchStrategy[int]:
        return st.sampled_from(sorted(self.model))

    @rule(wait=st.floats(0, 10))
    def add(self, wait: float) -> None:
        request = f"request {len(self.model) + len(self.ended)}"
        number = self.table.add(request, self.now + wait)
        assert number not in self.model
        assert number not in self.ended
        self.model[number] = Entry(request, self.now + wait)

    @precondition(lambda self: self.model)
    @rule(data=st.data(), server=servers)
    def assign(self, data: st.DataObject, server: str) -> None:
        number = data.draw(self.numbers())
        self.table.assign(number, server)
        self.model[number].server = server

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def take(self, data: st.DataObject) -> None:
        number = data.draw(self.numbers())
        assert self.table.take(number) == self.model[number].request
        self.end(number)

    @precondition(lambda self: self.model)
    @rule(data=st.data(), server=servers)
    def answer(self, data: st.DataObject, server: str) -> None:
        number = data.draw(self.numbers())
        entry = self.model[number]
        answered = self.table.answer(number, server)
        assert answered == (entry.request if entry.server == server else None)
        if answered is not None:
            self.end(number)

    @rule(server=servers)
    def take_server(self, server: str) -> None:
        lost = [number for number, entry in self.model.items() if entry.server == server]
        assert self.table.take_server(server) == [self.model[number].request for number in sorted(lost)]
        for number in lost:
            self.end(number)

    @rule(pause=st.floats(0, 8))
    def let_time_pass(self, pause: float) -> None:
        self.now += pause
        expired = [number for number, entry in self.model.items() if entry.deadline <= self.now]
        in_order = sorted(expired, key=lambda number: (self.model[number].deadline, number))
        got = list(self.table.take_expired(self.now))
        assert got == [(self.model[number].request, self.model[number].server) for number in in_order]
        for number in expired:
            self.end(number)

    @rule()
    def take_all(self) -> None:
        assert self.table.take_all() == [entry.request for entry in self.model.values()]
        for number in list(self.model):
            self.end(number)

    @rule(data=st.data())
    def ask_for_one_that_has_ended(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from([0, 10**9, *self.ended[-3:]]))
        assert self.table.get(number) is None
        assert self.table.server(number) is None
        assert self.table.take(number) is None
        assert self.table.answer(number, "x") is None
        assert self.table.answer(number, None) is None
        with pytest.raises(KeyError):
            self.table.assign(number, "x")

    @invariant()
    def both_say_the_same(self) -> None:
        assert len(self.table) == len(self.model)
        for number, entry in self.model.items():
            assert self.table.get(number) == entry.request
            assert self.table.server(number) == entry.server
        for server in SERVERS:
            count = sum(entry.server == server for entry in self.model.values())
            assert self.table.outstanding(server) == count
        deadlines = [entry.deadline for entry in self.model.values()]
        assert self.table.next_deadline() == min(deadlines, default=None)

    @invariant()
    def nothing_is_kept_of_servers_without_requests(self) -> None:
        busy = {entry.server for entry in self.model.values() if entry.server}
        assert set(self.table._outstanding) == busy

    def end(self, number: int) -> None:
        del self.model[number]
        self.ended.append(number)


TestTable = Table.TestCase
TestTable.settings = settings(max_examples=60, stateful_step_count=40)


def test_numbers_of_requests_that_have_ended_are_not_given_again() -> None:
    table: PendingRequests[str] = PendingRequests()
    first = table.add("a", 1.0)
    table.take(first)
    assert table.add("b", 1.0) > first


def test_only_the_server_that_has_a_request_now_answers_it_and_once() -> None:
    table: PendingRequests[str] = PendingRequests()
    number = table.add("a", 1.0)
    assert table.answer(number, "x") is None
    table.assign(number, "x")
    table.assign(number, "y")
    assert table.answer(number, "x") is None
    assert table.answer(number, "y") == "a"
    assert table.answer(number, "y") is None
    assert (len(table), table.outstanding("x"), table.outstanding("y")) == (0, 0, 0)


def test_a_request_that_is_added_while_others_expire_expires_in_its_turn() -> None:
    table: PendingRequests[str] = PendingRequests()
    table.add("first", 1.0)
    seen = []
    for request, _ in table.take_expired(5.0):
        seen.append(request)
        if request == "first":
            table.add("second", 2.0)
            table.add("later", 6.0)
    assert seen == ["first", "second"]
    assert table.next_deadline() == 6.0


@pytest.mark.parametrize("end", ["take", "answer", "take_server"])
def test_deadlines_of_requests_that_have_ended_do_not_pile_up(end: str) -> None:
    table: PendingRequests[int] = PendingRequests()
    kept = table.add(-1, 1e9)
    for number in range(5 * pending._SLACK):
        one = table.add(number, 1e6)
        table.assign(one, "server")
        if end == "take":
            assert table.take(one) == number
        elif end == "answer":
            assert table.answer(one, "server") == number
        else:
            assert table.take_server("server") == [number]
    assert len(table) == 1
    assert len(table._deadlines) <= pending._SLACK + 3
    table.take(kept)
    assert table.next_deadline() is None
    assert table._deadlines == []

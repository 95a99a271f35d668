"""The benchmarks' messages: what counts them, what paces them, and what notices that some are missing."""

import asyncio
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.benching import FakeChild
from tools.bench import flow
from tools.bench.flow import Flow, Shape
from tools.bench.peers.network import Network, free_port
from tools.bench.peers.pacing import pace, pace_on_loop
from tools.bench.peers.window import Window
from tools.bench.processes import NoAnswerError
from tools.bench.receipt import Receipt, TimedReceipt, payload, stamped
from tools.bench.rounds import RoundFailedError


@pytest.mark.parametrize("size", [2, 64, 1000])
def test_a_payload_has_its_size_and_never_repeats(size: int) -> None:
    message = payload(size)
    words = [message[at : at + 4] for at in range(0, size, 4)]
    assert len(message) == size
    assert len(set(words)) == len(words)


def test_a_receipt_tells_when_all_have_come() -> None:
    said: list[str] = []
    receipt = Receipt(said.append)
    receipt.expect(64, 100)
    for _ in range(99):
        receipt.on_message(payload(64))
    assert said == []
    receipt.on_message(payload(64))
    assert said[0].startswith("received 100 ")
    assert (receipt.count, receipt.wrong) == (100, 0)


def test_a_receipt_counts_on_when_more_come_than_were_sent() -> None:
    receipt = Receipt(lambda _: None)
    receipt.expect(64, 2)
    for _ in range(3):
        receipt.on_message(payload(64))
    assert receipt.count == 3


@given(st.integers(0, 99), st.integers(1, 63))
def test_a_message_of_another_length_is_wrong_wherever_it_comes(at: int, length: int) -> None:
    receipt = Receipt(lambda _: None)
    receipt.expect(64, 100)
    for number in range(100):
        receipt.on_message(payload(64) if number != at else payload(length + (length == 1)))
    assert (receipt.count, receipt.wrong) == (100, 1)


def test_bytes_that_are_wrong_in_all_messages_are_noticed() -> None:
    receipt = Receipt(lambda _: None)
    receipt.expect(64, 1000)
    for _ in range(1000):
        receipt.on_message(bytes(64))
    assert receipt.wrong >= 64


def test_probes_are_told_and_not_counted() -> None:
    said: list[str] = []
    for receipt in (Receipt(said.append), TimedReceipt(said.append)):
        receipt.on_message(bytes([7]))
        assert said.pop() == "heard 7"
        assert receipt.count == 0


def test_a_timed_receipt_takes_the_time_from_the_stamp() -> None:
    said: list[str] = []
    receipt = TimedReceipt(said.append)
    receipt.expect(64, 2)
    message = stamped(payload(64))
    time.sleep(0.01)
    receipt.on_message(message)
    receipt.on_message(stamped(bytes(64)))
    assert receipt.times[0] >= 10_000_000
    assert receipt.wrong == 1
    assert said[0].startswith("received 2 ")


def test_pacing_sends_so_many_a_millisecond() -> None:
    sent: list[bytes] = []
    began = time.monotonic()
    pace(sent.append, lambda: b"x", 50, 10)
    assert len(sent) == 500
    assert time.monotonic() - began >= 0.049


def test_pacing_on_a_loop_awaits_what_can_be_awaited() -> None:
    sent: list[bytes] = []

    async def send(message: bytes) -> None:
        await asyncio.sleep(0)
        sent.append(message)

    asyncio.run(pace_on_loop(send, lambda: b"x", 20, 3))
    assert len(sent) == 60


@given(st.integers(1, 50), st.integers(1, 60))
def test_a_window_keeps_so_many_in_flight_and_asks_no_more_than_it_should(count: int, in_flight: int) -> None:
    asked = unanswered = most = 0

    def ask() -> None:
        nonlocal asked, unanswered, most
        asked += 1
        unanswered += 1
        most = max(most, unanswered)

    window = Window(ask, count, in_flight)
    window.open()
    while unanswered:
        unanswered -= 1
        window.ended()
    window.wait()
    assert asked == count
    assert most == min(in_flight, count)


def test_a_network_survives_a_command_line() -> None:
    network = Network(free_port(), "ipc", "subscriber")
    assert Network.parse(str(network)) == network


class _Fake(FakeChild):
    """A process that loses, doubles or damages what is sent through it."""

    def tell(self, line: str) -> None:
        if line.startswith("send"):
            _Fake.count = int(line.split()[2]) - self.lost

    def ask(self, line: str, *words: str, within: float) -> list[str]:
        self.tell(line)
        return [str(self.count), str(self.wrong)]

    def expect(self, *words: str, within: float) -> list[str]:
        if words[0] == "received" and words[1] != str(self.count):
            raise NoAnswerError("silence")
        return [str({"sent": 1, "received": 1_000_000_001}.get(words[0], 0))]


@pytest.fixture
def fake_flow(monkeypatch: pytest.MonkeyPatch) -> Flow:
    monkeypatch.setattr(flow, "Child", _Fake)
    monkeypatch.setattr(_Fake, "count", 0)
    return Flow("pyzmq", Network(1), Shape())


def test_a_rate_is_what_came_by_the_time_it_took(fake_flow: Flow) -> None:
    fake_flow.calibrate(64, 0.5)
    fake_flow._counts[64] = 600
    assert fake_flow.rate(64) == 600


@pytest.mark.parametrize(
    ("lost", "wrong", "complaint"),
    [
        (7, 0, "7 of 100 messages lost"),
        (-2, 0, "2 messages more than the 100 that were sent"),
        (0, 5, "at least 5 of 100 messages damaged"),
    ],
)
def test_a_run_with_loss_says_so(
    lost: int, wrong: int, complaint: str, fake_flow: Flow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_Fake, "lost", lost)
    monkeypatch.setattr(_Fake, "wrong", wrong)
    fake_flow._counts[64] = 100
    with pytest.raises(RoundFailedError, match=complaint) as raised:
        fake_flow.rate(64)
    assert raised.value.lost == max(0, lost)

"""The relay: takes over what messengers are to keep, and passes it on when they have ended."""

import os
import queue
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import zmq
from click.testing import CliRunner

from colugo import BindError, Messenger, Node, RelayError, RemoteError
from colugo.cli.relay import relay
from colugo.messenger import Relay
from colugo.messenger.named_message import Message, seal, to_bytes
from colugo.protocol.codecs import resolve_codec
from tests.support.essentials import Program, free_port, new_realm, run, seconds, until, wait_until

MSGPACK = resolve_codec("msgpack")


class Inbox:
    """A callback that keeps what it gets."""

    def __init__(self) -> None:
        self._queue: queue.Queue[Any] = queue.Queue()
        self.payloads: list[Any] = []

    def __call__(self, payload: Any, message: Message) -> None:
        self.payloads.append(payload)
        self._queue.put(payload)

    def get(self, within: float = 15.0) -> Any:
        return self._queue.get(timeout=seconds(within))


class Place:
    """A realm with a relay that is a process, on ports of its own."""

    def __init__(self, stack: ExitStack, folder: Path) -> None:
        self.realm = new_realm()
        self.stack = stack
        self.store = folder / "relay.db"
        self.ports = {"send_port": free_port(), "sub_port": free_port()}
        self.address = {"server_address": "127.0.0.1", **self.ports}

    def relay(self, *more: str) -> Program:
        """Start it; `ready` has been printed then."""
        arguments = ["--recv-port", str(self.ports["send_port"]), "--pub-port", str(self.ports["sub_port"])]
        program = self.stack.enter_context(
            Program(["-m", "colugo.cli.main", "relay", *arguments, *more], realm=self.realm)
        )
        program.expect("relay: ready")
        return program

    def kept(self) -> Program:
        """Start it with its file."""
        return self.relay("--persist-file", str(self.store))

    def add(self, name: str = "m", **options: Any) -> Messenger:
        return self.stack.enter_context(Messenger(name=name, realm=self.realm, **options))

    def send(self, count: int, *more: str) -> Program:
        """A program that sends messages called n, from 0 on."""
        return self.stack.enter_context(
            Program(["-m", "tests.programs.messages", "send", "n", str(count), *more], realm=self.realm)
        )


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with ExitStack() as stack:
        yield Place(stack, tmp_path)


# --- publishers that exit, and relays that are killed


def test_a_message_arrives_though_its_publisher_has_exited_before_any_subscriber_came(place: Place) -> None:
    relay = place.relay()
    sender = place.send(10)
    sender.expect("left 0")
    assert sender.wait() == 0
    got = Inbox()
    place.add().subscribe("n", got)
    assert [got.get()["n"] for _ in range(10)] == list(range(10))
    relay.signal(signal.SIGTERM)
    assert relay.wait() == 0
    assert relay.lines[-1].endswith(
        "10 accepted, 0 delivered, 0 refused, 0 malformed; no undelivered messages"
    )


def test_a_message_arrives_though_the_relay_was_killed_and_started_again_in_between(place: Place) -> None:
    relay = place.kept()
    sender = place.send(10, "stop=no")
    assert sender.wait() == 0
    relay.kill()
    again = place.kept()
    assert any("(10 now)" in line for line in again.lines)
    got = Inbox()
    place.add().subscribe("n", got)
    assert [got.get()["n"] for _ in range(10)] == list(range(10))


@pytest.mark.slow
def test_the_same_without_mdns_by_the_address_of_the_relay(place: Place) -> None:
    relay = place.kept()
    given = [f"{name}={value}" for name, value in place.address.items()] + ["realm=elsewhere"]
    sender = place.send(5, *given)
    assert sender.wait() == 0
    relay.kill()
    place.kept()
    got = Inbox()
    other = place.stack.enter_context(Messenger(realm=new_realm(), **place.address))  # type: ignore[arg-type]
    other.subscribe("n", got)
    assert [got.get()["n"] for _ in range(5)] == list(range(5))


def test_a_publisher_that_was_killed_has_handed_its_messages_over(place: Place) -> None:
    place.relay()
    sender = place.send(5, "hang=yes")
    sender.expect("sent")
    sender.kill()
    got = Inbox()
    place.add().subscribe("n", got)
    assert [got.get()["n"] for _ in range(5)] == list(range(5))


def test_a_relay_that_comes_later_takes_over_what_a_messenger_keeps(place: Place) -> None:
    a = place.add("a")
    for n in range(120):
        a.send_message("n", n, ack=1)
    assert a.stats.kept == 120
    place.relay()
    assert wait_until(lambda: a.stats.kept == 0, 15)
    assert a.stats.handed_over == 120
    assert a.stop() == 0
    got = Inbox()
    place.add().subscribe("n", got)
    assert sorted(got.get() for _ in range(120)) == list(range(120))


def test_a_messenger_that_stops_at_once_finds_the_relay_still(place: Place) -> None:
    place.relay()
    with Messenger(realm=place.realm, auto_start=False) as a:
        a.send_message("n", "quick", ack=1)
    got = Inbox()
    place.add().subscribe("n", got)
    assert got.get() == "quick"


def test_a_relay_that_dies_leaves_messages_with_their_messenger(place: Place) -> None:
    relay = place.relay()
    a, got = place.add("a", send_timeout=5.0), Inbox()
    a.send_message("n", "taken", ack=1)
    assert a.stats.kept == 0
    relay.kill()
    a.send_message("n", "kept", ack=1)
    assert a.stats.kept == 1
    place.add("b").subscribe("n", got)
    assert got.get() == "kept"


# --- what passes by the relay


def test_messengers_that_know_only_the_address_hear_each_other_and_those_that_are_discovered(
    place: Place,
) -> None:
    place.relay()
    near = place.add("near")
    far = place.stack.enter_context(Messenger(name="far", realm=new_realm(), **place.address))  # type: ignore[arg-type]
    also_far = place.stack.enter_context(Messenger(realm=new_realm(), **place.address))  # type: ignore[arg-type]
    inboxes = [Inbox(), Inbox(), Inbox()]
    for messenger, inbox in zip((near, far, also_far), inboxes, strict=True):
        messenger.subscribe("n", inbox)
    for n, messenger in enumerate((near, far, also_far)):
        for ack in (0, 1):
            messenger.send_message("n", [n, ack], ack=ack)
            for inbox in inboxes:
                assert inbox.get() == [n, ack]
    assert [len(inbox.payloads) for inbox in inboxes] == [6, 6, 6]


def test_a_message_to_whoever_listens_is_not_kept_by_the_relay(place: Place) -> None:
    place.relay()
    a = place.add("a", **place.address)
    a.send_message("n", "nobody hears it")
    b, got = place.add("b", **place.address), Inbox()
    b.subscribe("n", got)
    a.send_message("n", "heard")
    assert got.get() == "heard"
    assert got.payloads == ["heard"]


def test_the_programs_of_the_documentation_run_with_another_import(place: Place, tmp_path: Path) -> None:
    """As Mezzenger's documentation has them: no stop, the main thread of the subscriber ends."""
    place.relay()
    ports = ", ".join(f"{name}={value}" for name, value in place.ports.items())
    publisher, subscriber = tmp_path / "publisher.py", tmp_path / "subscriber.py"
    publisher.write_text(
        "import time\n"
        "from colugo import messenger as mezzenger_client\n"
        f"mc = mezzenger_client.Mezzenger(server_address='127.0.0.1', auto_start=False, {ports})\n"
        "count = 0\n"
        "while True:\n"
        "    mc.send_message('greetings', 'Hello number %d!' % count)\n"
        "    count += 1\n"
        "    time.sleep(0.1)\n",
        encoding="utf-8",
    )
    subscriber.write_text(
        "from colugo import messenger as mezzenger_client\n"
        "def callback(payload, msg_obj):\n"
        "    print(msg_obj.name, payload)\n"
        f"mc = mezzenger_client.Mezzenger(server_address='127.0.0.1', {ports})\n"
        "mc.subscribe('greetings', callback)\n",
        encoding="utf-8",
    )
    with (
        Program([str(subscriber)], realm=place.realm) as one,
        Program([str(publisher)], realm=place.realm) as other,
    ):
        for program in (one, one):
            program.expect("greetings Hello number")
        assert not one.ended
        other.interrupt()
        one.interrupt()


def test_the_programs_run_without_any_server_line(tmp_path: Path) -> None:
    sender, receiver = tmp_path / "sender.py", tmp_path / "receiver.py"
    sender.write_text(
        "from colugo import messenger as mezzenger_client\n"
        "mc = mezzenger_client.Mezzenger()\n"
        "mc.send_message('greeting', 'Hello!')\n"
        "mc.send_message('greeting', 'Hello, somebody!', ack=1)\n"
        "mc.stop()\n",
        encoding="utf-8",
    )
    receiver.write_text(
        "from colugo import messenger as mezzenger_client\n"
        "mc = mezzenger_client.Mezzenger()\n"
        "def callback(payload, message):\n"
        "    print(payload, message.ack)\n"
        "    if message.ack:\n"
        "        mc.stop()\n"
        "mc.subscribe('greeting', callback)\n"
        "print('listening')\n",
        encoding="utf-8",
    )
    realm = new_realm()
    with Program([str(receiver)], realm=realm) as one:
        one.expect("listening")
        with Program([str(sender)], realm=realm) as other:
            one.expect("Hello! 0")
            one.expect("Hello, somebody! 1")
            assert other.wait() == 0
            assert one.wait() == 0


# --- each message once


def test_a_message_that_is_handed_over_again_is_not_stored_twice_also_by_a_relay_that_was_restarted(
    tmp_path: Path,
) -> None:
    body = to_bytes(seal("n", 1, 1, MSGPACK))
    store = tmp_path / "relay.db"

    async def main() -> None:
        realm = new_realm()
        for round_ in range(2):
            relay = Relay(pub_port=None, recv_port=None, persist_file=store, realm=realm)
            async with relay, Node("a", realm=realm) as a:
                client = a.add_request_client("messenger.relay")
                assert await client.request(body) == b"OK"
                assert await client.request(body) == b"OK"
                assert (relay.stats.taken, relay.stats.again) == (1 - round_, 1 + round_)
                assert relay.stats.stream.messages == 1

    run(main())


def test_messages_sent_side_by_side_with_one_id_are_stored_once() -> None:
    body = to_bytes(seal("n", 1, 1, MSGPACK))

    async def main() -> None:
        realm = new_realm()
        relay = Relay(pub_port=None, recv_port=None, realm=realm)
        async with relay, Node("a", realm=realm) as a:
            client = a.add_request_client("messenger.relay")
            got: list[Any] = []
            for _ in range(20):
                client.send(body, got.append)
            await until(lambda: len(got) == 20)
            assert (relay.stats.taken, relay.stats.again) == (1, 19)
            assert relay.stats.stream.messages == 1

    run(main())


def test_a_message_to_whoever_listens_that_is_sent_again_is_heard_once(place: Place) -> None:
    heard = Inbox()
    place.add("b").subscribe("n", heard)
    bodies = [to_bytes(seal("n", payload, 0, MSGPACK)) for payload in ("once", "then")]
    relay = Relay(pub_port=None, recv_port=None, realm=place.realm)
    with relay.running(), Node("a", realm=place.realm).running() as a:
        client = a.add_request_client("messenger.relay")
        relay.run(relay._publisher.ready(2))  # the relay itself subscribes, too
        for body in (bodies[0], *bodies):
            assert a.run(client.request(body)) == b"OK"
        assert [heard.get(), heard.get()] == ["once", "then"]
        assert relay.stats.again == 1


def test_a_subscriber_that_gets_a_message_from_two_sides_is_called_once(place: Place) -> None:
    got, marker = Inbox(), Inbox()
    b = place.add("b")
    b.subscribe("n", got)
    b.subscribe("m", marker)
    body = to_bytes(seal("n", "once", 1, MSGPACK))
    with (
        Node("one", realm=place.realm).running() as one,
        Node("two", realm=place.realm).running() as two,
    ):
        one.add_stream("messenger", ack="any").send(body, key="n")
        two.add_stream("messenger", ack="any").send(body, key="n")
        assert got.get() == "once"
        assert wait_until(lambda: b.stats.duplicates == 1)
    assert got.payloads == ["once"]


def test_a_message_on_which_the_callback_has_raised_is_redelivered_also_from_another_side(
    place: Place,
) -> None:
    seen: queue.Queue[bool] = queue.Queue()

    def fail_at_first(_: Any, message: Message) -> None:
        seen.put(message.redelivered)
        if not message["redelivered"]:
            raise RuntimeError("no")

    place.add("b").subscribe("n", fail_at_first)
    body = to_bytes(seal("n", 1, 1, MSGPACK))
    with Node("one", realm=place.realm).running() as one:
        stream = one.add_stream("messenger", ack="any", max_deliver=1)
        stream.send(body, key="n")
        assert seen.get(timeout=seconds(15)) is False
        assert wait_until(lambda: stream.stats.dead == 1)
        with Node("two", realm=place.realm).running() as two:
            two.add_stream("messenger", ack="any").send(body, key="n")
            assert seen.get(timeout=seconds(15)) is True


# --- what goes wrong


def test_a_relay_that_is_not_there_is_said_so() -> None:
    said = r"no relay answers \(2 tries of 0\.2 s\): nobody is connected at tcp://127\.0\.0\.1:\d+; is"
    with pytest.raises(RelayError, match=said):
        Messenger("127.0.0.1", free_port(), free_port(), send_timeout=0.2, connection_retries=2)


@pytest.mark.slow
def test_a_relay_that_has_gone_is_said_so_by_the_send(place: Place) -> None:
    relay = place.relay()
    a = place.add("a", **place.address, send_timeout=0.2, connection_retries=2, auto_start=False)
    relay.kill()
    for ack, what in enumerate(("sent", "stored")):
        with pytest.raises(RelayError, match=f"'n' could not be {what}"):
            a.send_message("n", 1, ack=ack)
    place.relay()
    assert wait_until(lambda: a.stats.relays == 1)
    a.send_message("n", 1, ack=1)


def test_with_a_store_messages_wait_here_until_the_relay_is_there(place: Place, tmp_path: Path) -> None:
    a = place.add("a", **place.address, send_timeout=0.5, store=tmp_path / "outbox.db")
    a.send_message("n", "early", ack=1)
    assert a.stats.kept == 1
    place.relay()
    assert wait_until(lambda: a.stats.kept == 0, 15)
    got = Inbox()
    a.subscribe("n", got)
    assert got.get() == "early"


def test_a_full_relay_takes_no_more_and_the_messenger_keeps_the_rest(place: Place) -> None:
    place.relay("--max-messages", "2")
    a = place.add("a")
    for n in range(4):
        a.send_message("n", n, ack=1)
    assert a.stats.kept == 2
    far = place.add("far", **place.address, send_timeout=5, connection_retries=1, auto_start=False)
    with pytest.raises(RelayError, match="max_messages"):
        far.send_message("n", 4, ack=1)
    got = Inbox()
    place.add("b").subscribe("n", got)
    assert sorted(got.get() for _ in range(4)) == [0, 1, 2, 3]


@pytest.mark.slow
def test_what_a_full_relay_has_not_taken_is_handed_over_when_it_has_room(
    place: Place, tmp_path: Path
) -> None:
    place.relay("--max-messages", "1")
    a = place.add("a", **place.address, send_timeout=10, store=tmp_path / "outbox.db", auto_start=False)
    for n in range(3):
        a.send_message("n", n, ack=1)
    assert a.stats.kept == 2
    got = Inbox()
    place.add("b", **place.address).subscribe("n", got)
    assert sorted(got.get(30) for _ in range(3)) == [0, 1, 2]
    assert wait_until(lambda: a.stats.kept == 0)
    assert a.stats.handed_over == 2


def test_a_full_relay_says_once_that_it_takes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        realm = new_realm()
        relay = Relay(pub_port=None, recv_port=None, max_messages=1, realm=realm)
        async with relay, Node("a", realm=realm) as a:
            client = a.add_request_client("messenger.relay")
            assert await client.request(to_bytes(seal("n", 0, 1, MSGPACK))) == b"OK"
            for n in range(10):
                with pytest.raises(RemoteError, match="max_messages"):
                    await client.request(to_bytes(seal("n", n, 1, MSGPACK)))
            assert relay.stats.refused == 10
        said = [record.getMessage() for record in caplog.records if "was not taken" in record.getMessage()]
        assert len(said) == 1
        assert said[0].startswith("the message 'n' was not taken: the stream holds 1 messages")

    run(main())


def test_a_message_to_whoever_listens_that_a_full_relay_refuses_has_reached_nobody(place: Place) -> None:
    place.relay("--max-messages", "1")
    near, far = Inbox(), Inbox()
    place.add("near").subscribe("n", near)
    place.add("far", **place.address).subscribe("n", far)
    a = place.add("a", **place.address, send_timeout=0.2, connection_retries=3, auto_start=False)
    a.send_message("n", "first")
    assert near.get() == far.get() == "first"
    a.send_message("nobody wants it", 1, ack=1)
    with pytest.raises(RelayError, match="max_messages"):
        a.send_message("n", "second")
    place.add("c").subscribe("nobody wants it", Inbox())
    assert wait_until(lambda: sends(a, "n", "third"))
    assert near.get() == far.get() == "third"


def sends(messenger: Messenger, name: str, payload: object) -> bool:
    """Whether it could be sent."""
    try:
        messenger.send_message(name, payload)
    except RelayError:
        return False
    return True


def test_garbage_on_the_ports_of_a_relay_is_counted_and_does_no_harm(place: Place) -> None:
    relay = place.relay()
    a, got = place.add("a", **place.address), Inbox()
    changed = to_bytes(seal("n", "good", 1, MSGPACK)).replace(b"good", b"evil")
    context = zmq.Context()
    try:
        for kind in (zmq.REQ, zmq.DEALER):
            for port in place.ports.values():
                for body in (b"", b"garbage", os.urandom(1000), changed, b"\xc1" * 50):
                    one = context.socket(kind)
                    one.linger = 1000
                    one.connect(f"tcp://127.0.0.1:{port}")
                    one.send(body)
                    one.close()
        for port in place.ports.values():
            with socket.create_connection(("127.0.0.1", port)) as raw:
                raw.sendall(b"GET / HTTP/1.0\r\n\r\n" + os.urandom(500))
    finally:
        context.term()
    a.subscribe("n", got)
    a.send_message("n", "still there", ack=1)
    assert got.get() == "still there"
    assert got.payloads == ["still there"]
    relay.signal(signal.SIGTERM)
    assert relay.wait() == 0
    assert any(" 5 malformed" in line for line in relay.lines), relay.lines


def test_a_plain_req_socket_can_hand_a_message_over(place: Place) -> None:
    place.relay()
    got = Inbox()
    place.add().subscribe("n", got)
    context = zmq.Context()
    try:
        one = context.socket(zmq.REQ)
        one.rcvtimeo = round(seconds(10) * 1000)
        one.connect(f"tcp://127.0.0.1:{place.ports['send_port']}")
        for body in (b"ping", to_bytes(seal("n", "plain", 1, MSGPACK))):
            one.send(body)
            assert one.recv() == b"OK"
        one.close(0)
    finally:
        context.term()
    assert got.get() == "plain"


# --- the command


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_relay_ends_cleanly_by_a_signal_and_says_what_it_keeps(
    place: Place, number: signal.Signals
) -> None:
    relay = place.kept()
    assert place.send(3).wait() == 0
    relay.signal(number)
    assert relay.wait() == 0
    assert relay.lines[-1] == (
        "relay: stopped; 3 accepted, 0 delivered, 0 refused, 0 malformed; "
        f"3 undelivered messages stored in {place.store}"
    )


def test_a_relay_without_a_file_says_what_is_lost(place: Place) -> None:
    relay = place.relay("--verbose")
    assert place.send(1, "stop=no").wait() == 0
    assert relay.interrupt() == 0
    assert "1 undelivered message lost, because no --persist-file was given" in relay.lines[-1]
    assert any("taken: 'n'" in line for line in relay.lines)


def test_a_second_relay_on_the_same_ports_says_so_and_fails(place: Place) -> None:
    place.relay()
    arguments = [f"--recv-port={place.ports['send_port']}", f"--pub-port={place.ports['sub_port']}"]
    with Program(["-m", "colugo.cli.main", "relay", *arguments], realm=place.realm) as second:
        assert second.wait() == 1
        assert str(place.ports["sub_port"]) in second.lines[-1]
        assert "--pub-port" in second.lines[-1]


@pytest.mark.parametrize(
    "wrong", [("--realm", "a b"), ("--bind", "203.0.113.5"), ("--pub-port", "0"), ("--pub-port", "7202")]
)
def test_what_a_relay_cannot_be_given_is_wrong_usage(wrong: tuple[str, str]) -> None:
    result = CliRunner().invoke(relay, wrong)
    assert (result.exit_code, result.stderr.startswith("Usage:")) == (2, True)
    assert "Error: " in result.stderr


def test_a_relay_in_a_program_can_be_used_as_a_node() -> None:
    before = set(threading.enumerate())
    realm = new_realm()
    with Relay(pub_port=None, recv_port=None, realm=realm).running() as relay:
        handed_out, taken = relay.endpoints
        assert {one.split(":")[0] for one in handed_out + taken} <= {"tcp", "ipc"}
        with pytest.raises(BindError):
            Relay(recv_port=int(taken[0].rsplit(":", 1)[1]), pub_port=None, realm=realm)
    assert wait_until(lambda: set(threading.enumerate()) <= before)

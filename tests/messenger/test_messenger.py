"""The messenger: named messages, for whoever listens or kept until somebody has them."""

import queue
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import colugo
from colugo import (
    ClosedError,
    ConfigurationError,
    EncodeError,
    MessageTooLargeError,
    Messenger,
    Mezzenger,
    Node,
    NotStoredError,
)
from colugo import messenger as mezzenger_client
from colugo.messenger.named_message import Message, from_bytes, seal, to_bytes
from colugo.protocol.codecs import resolve_codec
from tests.support.essentials import Program, new_realm, seconds, wait_until


class Inbox:
    """A callback that keeps what it gets."""

    def __init__(self) -> None:
        self._queue: queue.Queue[tuple[Any, Message]] = queue.Queue()
        self.payloads: list[Any] = []

    def __call__(self, payload: Any, message: Message) -> None:
        self.payloads.append(payload)
        self._queue.put((payload, message))

    def get(self, within: float = 10.0) -> tuple[Any, Message]:
        """The next one."""
        return self._queue.get(timeout=seconds(within))


class Team:
    """Messengers of one realm, stopped in the end."""

    def __init__(self, stack: ExitStack) -> None:
        self.realm = new_realm()
        self._stack = stack

    def add(self, name: str = "m", **options: Any) -> Messenger:
        return self._stack.enter_context(Messenger(name=name, realm=self.realm, **options))


@pytest.fixture
def team() -> Iterator[Team]:
    with ExitStack() as stack:
        yield Team(stack)


# --- who listens


def test_a_message_reaches_all_who_have_subscribed_to_its_name(team: Team) -> None:
    a, b, c = team.add("a"), team.add("b"), team.add("c")
    first, second, other = Inbox(), Inbox(), Inbox()
    b.subscribe("greetings", first)
    c.subscribe("greetings", second)
    c.subscribe("greetings to nobody", other)
    a.send_message("greetings", {"text": "hello", "n": [1, 2.5, None, b"\x00"]})
    for inbox in (first, second):
        payload, message = inbox.get()
        assert payload == message.payload == {"text": "hello", "n": [1, 2.5, None, b"\x00"]}
        assert (message.name, message.ack, message["name"], message["ack"]) == (
            "greetings",
            0,
            "greetings",
            0,
        )
        assert abs(message.timestamp - time.time()) < seconds(60)
        assert len(message.checksum) == 32
    assert other.payloads == []


def test_a_messenger_hears_itself(team: Team) -> None:
    a, got = team.add(), Inbox()
    a.subscribe("n", got)
    a.send_message("n", "lost if nobody listens")
    a.send_message("n", "kept", ack=1)
    assert sorted([got.get()[0], got.get()[0]]) == ["kept", "lost if nobody listens"]


def test_a_message_that_nobody_listens_to_is_gone(team: Team) -> None:
    a, b, got, marker = team.add("a"), team.add("b"), Inbox(), Inbox()
    b.subscribe("marker", marker)
    a.send_message("n", "early")
    a.send_message("marker", "has been passed")
    marker.get()
    b.subscribe("n", got)
    a.send_message("n", "late")
    assert got.get()[0] == "late"
    assert got.payloads == ["late"]


def test_messengers_of_other_realms_hear_nothing(team: Team) -> None:
    got = Inbox()
    with Messenger(realm=new_realm()) as stranger:
        stranger.subscribe("n", got)
        a, own = team.add(), Inbox()
        a.subscribe("n", own)
        a.send_message("n", 1, ack=1)
        a.send_message("n", 2)
        assert {own.get()[0], own.get()[0]} == {1, 2}
        assert got.payloads == []


# --- kept until somebody has it


def test_a_kept_message_arrives_when_a_subscriber_comes(team: Team) -> None:
    a = team.add("a")
    a.send_message("greetings", "before anybody was there", ack=1)
    assert a.stats.kept == 1
    b, got = team.add("b"), Inbox()
    b.subscribe("something else", Inbox())
    b.subscribe("greetings", got)
    payload, message = got.get()
    assert (payload, message.ack) == ("before anybody was there", 1)
    assert wait_until(lambda: a.stats.kept == 0)


def listen_to(messenger: Messenger, name: str, count: int) -> None:
    """Wait until so many want what a messenger keeps of a name: one of them is enough for it to go."""
    stream = messenger._outbox._stream
    assert stream is not None
    assert wait_until(lambda: stream.listeners(name) == count)


def test_who_comes_after_another_one_has_had_a_message_does_not_get_it(team: Team) -> None:
    a, b, c = team.add("a"), team.add("b"), team.add("c")
    first, second = Inbox(), Inbox()
    b.subscribe("n", first)
    a.send_message("n", "for b", ack=1)
    assert first.get()[0] == "for b"
    assert wait_until(lambda: a.stats.kept == 0)
    c.subscribe("n", second)
    listen_to(a, "n", 2)
    a.send_message("n", "for both", ack=1)
    assert second.get()[0] == first.get()[0] == "for both"
    assert wait_until(lambda: a.stats.kept == 0)
    a.send_message("n", "for both again", ack=1)
    assert second.get()[0] == "for both again"
    assert second.payloads == ["for both", "for both again"]


def test_kept_messages_of_a_name_come_in_their_order_and_once(team: Team) -> None:
    a, b, got = team.add("a"), team.add("b"), Inbox()
    for n in range(150):
        a.send_message("n", n, ack=1)
        if n == 100:
            b.subscribe("n", got)
        if n == 120:
            b.subscribe("m", Inbox())  # binds anew while messages are under way
    for n in range(150):
        assert got.get()[0] == n
    assert wait_until(lambda: a.stats.kept == 0)
    assert got.payloads == list(range(150))


def test_a_message_whose_callback_has_raised_comes_again(team: Team) -> None:
    a, b, got = team.add("a"), team.add("b"), Inbox()
    calls = []

    def fail_at_first(payload: Any, message: Message) -> None:
        calls.append((payload, message.redelivered))
        if len(calls) == 1:
            raise RuntimeError("no")
        got(payload, message)

    b.subscribe("n", fail_at_first)
    a.send_message("n", "again", ack=1)
    assert got.get()[0] == "again"
    assert calls == [("again", False), ("again", True)]
    assert wait_until(lambda: a.stats.kept == 0)
    assert (b.stats.failed, b.stats.handled) == (1, 1)


def test_a_message_to_whoever_listens_is_not_repeated_when_the_callback_raises(team: Team) -> None:
    a, calls = team.add(), []
    done = threading.Event()

    def fail(payload: Any) -> None:
        calls.append(payload)
        if payload == "last":
            done.set()
        raise RuntimeError("no")

    a.subscribe("n", fail)
    a.send_message("n", "first")
    a.send_message("n", "last")
    assert done.wait(seconds(10))
    assert calls == ["first", "last"]
    assert wait_until(lambda: a.stats.failed == 2)


def test_a_message_of_a_name_that_was_unsubscribed_waits_for_others(team: Team) -> None:
    a, b, c = team.add("a"), team.add("b"), team.add("c")
    unwanted, marker, got = Inbox(), Inbox(), Inbox()
    b.subscribe("n", unwanted)
    b.subscribe("m", marker)
    b.unsubscribe("n")
    a.send_message("n", "for c", ack=1)
    a.send_message("m", "marker", ack=1)
    assert marker.get()[0] == "marker"
    assert wait_until(lambda: a.stats.kept == 1)
    c.subscribe("n", got)
    assert got.get()[0] == "for c"
    assert unwanted.payloads == []


def test_a_messenger_without_any_subscription_left_takes_nothing(team: Team) -> None:
    a, b, got = team.add("a"), team.add("b"), Inbox()
    b.subscribe("n", Inbox())
    b.unsubscribe("n")
    a.send_message("n", 1, ack=1)
    b.subscribe("n", got)
    assert got.get()[0] == 1


def test_a_callback_may_send_and_subscribe_and_unsubscribe(team: Team) -> None:
    a, got = team.add(), Inbox()

    def forward(payload: Any, message: Message) -> None:
        a.subscribe("second", got)
        a.unsubscribe("first")
        a.send_message("second", payload + 1, ack=message.ack)

    a.subscribe("first", forward)
    a.send_message("first", 1, ack=1)
    assert got.get()[0] == 2
    assert wait_until(lambda: a.stats.kept == 0)


def test_callbacks_run_one_after_another_on_one_thread(team: Team) -> None:
    a, got = team.add(), Inbox()
    threads, running = set(), []

    def watch(payload: Any, message: Message) -> None:
        threads.add(threading.current_thread().name)
        running.append(payload)
        assert len(running) == 1
        running.pop()
        got(payload, message)

    a.subscribe("x", watch)
    a.subscribe("y", watch)
    for n in range(50):
        a.send_message("xy"[n % 2], n, ack=n % 3 == 0)
    assert sorted(got.get()[0] for _ in range(50)) == list(range(50))
    assert threads == {"colugo m callbacks"}
    assert a.stats.failed == 0


def test_many_threads_may_send(team: Team) -> None:
    a, b, got = team.add("a"), team.add("b"), Inbox()
    b.subscribe("n", got)

    def send(k: int) -> None:
        for i in range(25):
            a.send_message("n", (k, i), ack=1)

    threads = [threading.Thread(target=send, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    received = [tuple(got.get()[0]) for _ in range(100)]
    assert sorted(received) == [(k, i) for k in range(4) for i in range(25)]
    assert all([i for k, i in received if k == one] == list(range(25)) for one in range(4))


# --- names, payloads, options

ODD_NAMES = ("#", "=x", " ", "ü" * 125, "x" * 250, "new\nline", "\0")


@pytest.mark.parametrize(
    "name", ["a.b", "*", *(pytest.param(name, marks=pytest.mark.slow) for name in ODD_NAMES)]
)
def test_any_name_is_matched_as_it_is(team: Team, name: str) -> None:
    a, got, other = team.add(), Inbox(), Inbox()
    a.subscribe(name, got)
    a.subscribe("a.other", other)
    a.send_message("a.other", "other", ack=1)
    a.send_message(name, "mine", ack=1)
    assert (got.get()[0], other.get()[0]) == ("mine", "other")
    assert got.payloads == ["mine"]


@pytest.mark.parametrize("name", ["a|b", "|", "", "x" * 251, "ü" * 126, "\ud800", None, 7, b"bytes"])
def test_what_is_no_name_is_refused(team: Team, name: Any) -> None:
    a = team.add()
    with pytest.raises(ConfigurationError):
        a.send_message(name, "x", ack=1)
    with pytest.raises(ConfigurationError):
        a.subscribe(name, print)
    assert a.stats.stored == a.stats.published == 0


def test_what_the_codec_cannot_take_is_refused_and_nothing_is_stored(team: Team) -> None:
    a = team.add()
    for payload in (object(), {1, 2}.__iter__(), lambda: None):
        for ack in (0, 1):
            with pytest.raises(EncodeError):
                a.send_message("n", payload, ack=ack)
    with pytest.raises(MessageTooLargeError):
        a.send_message("n", b"x" * (64 * 1024 * 1024 + 1), ack=1)
    assert a.stats.kept == 0


@pytest.mark.parametrize("ack", [2, -1, None, "1"])
def test_ack_is_zero_or_one(team: Team, ack: Any) -> None:
    with pytest.raises(ConfigurationError, match="ack"):
        team.add().send_message("n", 1, ack=ack)


@pytest.mark.parametrize(
    ("codec", "payload"),
    [("json", {"a": [1, None]}), ("pickle", (1, {2, 3}, complex(1, 2))), (None, "text"), (None, b"bytes")],
)
def test_payloads_travel_by_the_codec_that_was_chosen(team: Team, codec: str | None, payload: Any) -> None:
    a, got = team.add(codec=codec), Inbox()
    a.subscribe("n", got)
    a.send_message("n", payload, ack=1)
    assert got.get()[0] == payload


def test_a_message_of_another_codec_is_counted_and_neither_delivered_nor_lost(team: Team) -> None:
    a, b, c = team.add("a", codec="pickle"), team.add("b"), team.add("c", codec="pickle")
    wrong, right = Inbox(), Inbox()
    b.subscribe("n", wrong)
    a.send_message("n", {1, 2}, ack=1)
    assert wait_until(lambda: b.stats.undecodable == 1)
    c.subscribe("n", right)
    assert right.get()[0] == {1, 2}
    assert wrong.payloads == []


@pytest.mark.parametrize(
    "options",
    [
        {"send_timeout": 0},
        {"send_timeout": "2"},
        {"connection_retries": 0},
        {"codec": "yaml"},
        {"server_address": ""},
        {"server_address": "127.0.0.1:7202"},
        {"server_address": "[::1]:7202"},
        {"server_address": "tcp://127.0.0.1"},
        {"server_address": "h", "send_port": 0},
        {"server_address": "h", "sub_port": 65536},
        {"realm": ""},
        {"name": ""},
    ],
)
def test_options_that_cannot_work_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        Messenger(**options)


def test_callbacks_that_cannot_work_are_refused(team: Team) -> None:
    a = team.add()

    async def coroutine(payload: Any, message: Message) -> None: ...

    for callback in (None, "x", coroutine, lambda: None, lambda a, b, c: None):
        with pytest.raises(ConfigurationError):
            a.subscribe("n", callback)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="subscribed"):
        a.unsubscribe("n")


# --- bad input


def test_a_message_that_was_changed_on_its_way_is_counted_and_never_delivered(team: Team) -> None:
    b, got = team.add("b"), Inbox()
    b.subscribe("n", got)
    envelope = seal("n", "good", 1, resolve_codec("msgpack"))
    data = to_bytes(envelope)
    changed = data.replace(b"good", b"evil")
    with Node("stranger", realm=team.realm).running() as node:
        stream, publisher = node.add_stream("messenger", ack="any"), node.add_publisher("messenger")
        node.run(publisher.ready())
        for bad in (changed, b"garbage", data[:-1], b""):
            stream.send(bad, key="n")
            publisher.send(bad)
        stream.send("text", key="n")
        stream.send(data, key="n")
        assert got.get()[0] == "good"
        assert wait_until(lambda: b.stats.malformed >= 9)
    assert got.payloads == ["good"]


@pytest.mark.parametrize("field", range(9))
def test_a_message_with_a_wrong_field_is_refused(field: int) -> None:
    codec = resolve_codec("msgpack")
    good = to_bytes(seal("n", "x", 1, codec))
    assert from_bytes(good).name == "n"
    values: list[Any] = codec.decode(good)
    wrongs: tuple[Any, ...] = (None, -1, 7, "", b"", [], "|")
    for wrong in wrongs:
        if wrong != values[field]:
            bad = [*values[:field], wrong, *values[field + 1 :]]
            with pytest.raises(colugo.DecodeError):
                from_bytes(bytes(codec.encode(bad)))


# --- life


@pytest.mark.slow
def test_a_messenger_that_only_sends_needs_no_start(team: Team) -> None:
    b, got = team.add("b"), Inbox()
    b.subscribe("n", got)
    a = team.add("a", auto_start=False)
    a.send_message("n", 1)
    assert got.get()[0] == 1
    a.send_message("n", 2, ack=1)
    assert got.get()[0] == 2
    assert wait_until(lambda: a.stats.kept == 0)  # who subscribes earlier gets it, too
    a.start()
    a.start()
    a.subscribe("n", own := Inbox())
    b.send_message("another name", 0, ack=1)
    listen_to(b, "n", 2)
    b.send_message("n", 3, ack=1)
    assert own.get()[0] == 3


@pytest.mark.slow
def test_what_was_subscribed_to_before_the_start_is_heard_from_then_on(team: Team) -> None:
    a, got = team.add("a", auto_start=False), Inbox()
    a.subscribe("n", got)
    a.subscribe("m", got)
    a.unsubscribe("m")
    b = team.add("b")
    b.send_message("m", 1, ack=1)
    b.send_message("n", 2, ack=1)
    assert wait_until(lambda: b.stats.stored == 2)
    assert a.stats.handled == 0
    a.start()
    assert got.get()[0] == 2
    assert wait_until(lambda: b.stats.kept == 1)  # the other one


def test_too_many_names_are_refused_also_before_the_start(team: Team) -> None:
    a = team.add("a", auto_start=False)
    for n in range(1000):
        a.subscribe(str(n), print)
    with pytest.raises(ConfigurationError, match=r"1,?000"):
        a.subscribe("one more", print)


def test_after_its_stop_a_messenger_refuses_everything_and_leaves_no_thread() -> None:
    before = set(threading.enumerate())
    a = Messenger(realm=new_realm())
    a.subscribe("n", print)
    assert not a.stopped()
    assert a.stop() == 0
    assert a.stop() == 0
    assert a.stopped()
    assert a.join()
    uses: list[Callable[[], object]] = [
        partial(a.send_message, "n", 1),
        partial(a.send_message, "n", 1, ack=1),
        partial(a.subscribe, "n", print),
        partial(a.unsubscribe, "n"),
        a.start,
    ]
    for use in uses:
        with pytest.raises(ClosedError):
            use()
    assert wait_until(lambda: set(threading.enumerate()) <= before)


def test_a_stop_tells_how_many_messages_nobody_has_had() -> None:
    a = Messenger(realm=new_realm())
    for n in range(3):
        a.send_message("n", n, ack=1)
    assert a.stop() == 3
    assert a.stop() == 3


def test_a_stop_with_a_timeout_waits_for_somebody_to_come(team: Team) -> None:
    a = team.add("a")
    a.send_message("n", 1, ack=1)
    assert wait_until(lambda: not a._outbox.discovery_left_s)  # so long a stop without a timeout would wait
    left: list[int] = []
    stopping = threading.Thread(target=lambda: left.append(a.stop(timeout=seconds(10))))
    stopping.start()
    assert wait_until(lambda: a._closing)
    team.add("b").subscribe("n", got := Inbox())
    assert got.get()[0] == 1
    stopping.join(seconds(10))
    assert left == [0]


def test_a_callback_that_subscribes_does_not_hold_a_stop_up(team: Team) -> None:
    a, go_on, raised = team.add("a"), threading.Event(), []

    def subscribe(_: Any) -> None:
        go_on.wait(seconds(10))
        try:
            a.subscribe("another", print)
        except ClosedError as error:
            raised.append(error)

    a.subscribe("n", subscribe)
    a.send_message("n", 1, ack=1)
    stopping = threading.Thread(target=partial(a.stop, timeout=seconds(60)))
    stopping.start()
    assert wait_until(lambda: a._closing)
    go_on.set()
    stopping.join(seconds(20))
    assert not stopping.is_alive()
    assert len(raised) == 1
    assert a.stop() == 0


def test_a_stop_that_is_interrupted_closes_everything(team: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    before = set(threading.enumerate())
    a = team.add("a")
    a.send_message("n", 1, ack=1)

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(a._outbox, "drain", interrupted)
    with pytest.raises(KeyboardInterrupt):
        a.stop()
    assert a.stopped()
    assert a.stop() == 1
    assert wait_until(lambda: set(threading.enumerate()) <= before)


def test_a_callback_may_stop_its_messenger_and_its_message_counts_as_handled(team: Team) -> None:
    a, b = team.add("a"), Messenger(realm=team.realm)
    b.subscribe("quit", lambda payload: b.stop())
    a.send_message("quit", None, ack=1)
    assert b.join(seconds(10))
    assert wait_until(lambda: a.stats.kept == 0)


def test_verbose_prints_what_happens(team: Team, capsys: pytest.CaptureFixture[str]) -> None:
    a, got = team.add(verbose=True), Inbox()
    a.subscribe("n", got)
    a.send_message("n", "hello", ack=1)
    got.get()
    printed = capsys.readouterr().out
    assert "m: sending 'n', ack=1" in printed
    assert "m: got <Message 'n'" in printed


def test_mezzenger_is_the_same_class() -> None:
    assert Mezzenger is Messenger is mezzenger_client.Mezzenger
    assert issubclass(NotStoredError, mezzenger_client.MezzengerException)


# --- a store of its own


def test_what_is_in_the_store_of_a_messenger_that_was_killed_arrives_later(
    team: Team, tmp_path: Path
) -> None:
    store = tmp_path / "outbox.db"
    with Program(
        ["-m", "tests.programs.messages", "send", "n", "20", f"store={store}", "hang=yes"], realm=team.realm
    ) as sender:
        sender.expect("sent")
        sender.kill()
    b, got = team.add("b"), Inbox()
    b.subscribe("n", got)
    a = team.add("a", store=store)
    assert [got.get()[0]["n"] for _ in range(20)] == list(range(20))
    assert wait_until(lambda: a.stats.kept == 0)


def test_a_store_that_is_full_makes_the_send_fail_after_its_tries(team: Team) -> None:
    a = team.add("a", send_timeout=0.05, connection_retries=2)
    a.send_message("n", 0, ack=1)
    stream = a._outbox._stream
    assert stream is not None
    stream._scheduler.intake.limits = type(stream._scheduler.intake.limits)(1, 10_000, None, "reject")
    with pytest.raises(NotStoredError, match=r"'n'.*2 tries of 0.05 s.*max_messages"):
        a.send_message("n", 1, ack=1)
    assert a.stats.stored == 1


# --- processes


@pytest.mark.slow
def test_ctrl_c_ends_a_program_with_a_messenger_wherever_its_main_thread_is(tmp_path: Path) -> None:
    begin = (
        "from colugo import Messenger\nm = Messenger()\nm.subscribe('n', print)\nprint('ready', flush=True)\n"
    )
    for end in ("", "m.join()\n", "import time\ntime.sleep(1000)\n"):
        path = tmp_path / "program.py"
        path.write_text(begin + end, encoding="utf-8")
        with Program([str(path)], realm=new_realm()) as program:
            program.expect("ready")
            program.signal(signal.SIGINT)
            program.wait()


def test_a_subscriber_that_was_killed_has_its_message_taken_by_another_one(team: Team) -> None:
    a = team.add("a")
    with Program(["-m", "tests.programs.messages", "hold", "n"], realm=team.realm) as holder:
        holder.expect("listening")
        a.send_message("n", {"n": 7}, ack=1)
        holder.expect("holds 7")
        holder.kill()
    b, got = team.add("b"), Inbox()
    b.subscribe("n", got)
    assert got.get()[0] == {"n": 7}
    assert wait_until(lambda: a.stats.kept == 0)

"""Messenger, relay and dispatcher on the network in memory, and on a node that runs elsewhere."""

import queue
from contextlib import ExitStack
from typing import Any

import pytest

from colugo import ClosedError, ConfigurationError, LifecycleError, Messenger, Node
from colugo.config import NodeOptions
from colugo.dispatcher import ATEDispatcher
from colugo.messenger import Relay
from colugo.testing import Network
from tests.support.dispatching import Echo, Listener, dispatching
from tests.support.essentials import seconds, wait_until


@pytest.fixture(autouse=True)
def _without_mdns(monkeypatch: pytest.MonkeyPatch) -> None:
    class Forbidden:
        def __init__(self, *_: object) -> None:
            raise AssertionError("mDNS is used")

    monkeypatch.setattr("colugo.config.MdnsDirectory", Forbidden)
    monkeypatch.setenv("COLUGO_MDNS", "1")


class Received:
    """A callback of messengers that keeps payloads."""

    def __init__(self) -> None:
        self._payloads: queue.Queue[Any] = queue.Queue()

    def __call__(self, payload: Any) -> None:
        self._payloads.put(payload)

    def next(self) -> Any:
        return self._payloads.get(timeout=seconds(15))


def is_heard(sender: Messenger) -> bool:
    """Return True if a subscriber is connected, so that a message with `ack=0` reaches it."""
    publisher = sender._publisher
    return publisher is not None and publisher.subscribers > 0


def on(network: Network) -> NodeOptions:
    return {"directory": network.directory(), "scope": "host"}


def test_messengers_exchange_messages_on_a_network_in_memory(colugo_network: Network) -> None:
    got = Received()
    with (
        Messenger(auto_start=False, **on(colugo_network)) as one,
        Messenger(name="other", **on(colugo_network)) as other,
    ):
        other.subscribe("news", got)
        assert wait_until(lambda: is_heard(one))
        one.send_message("news", "now")
        assert got.next() == "now"
        one.send_message("news", "kept", ack=1)
        assert got.next() == "kept"
        assert (one.name, other.name) == ("messenger", "other")


def test_a_relay_on_a_network_in_memory_takes_messages_over(colugo_network: Network) -> None:
    got = Received()
    relay = Relay(pub_port=None, recv_port=None, **on(colugo_network))
    with relay.running():
        with Messenger(auto_start=False, **on(colugo_network)) as sender:
            sender.send_message("news", "for later", ack=1)
            assert sender.stats.relays == 1
        assert relay.stats.taken == 1
        with Messenger(**on(colugo_network)) as receiver:
            receiver.subscribe("news", got)
            assert got.next() == "for later"


@pytest.mark.parametrize("given", [True, False], ids=["node", "name"])
def test_dispatchers_ask_each_other_on_a_network_in_memory(colugo_network: Network, *, given: bool) -> None:
    with ExitStack() as stack:

        def add(name: str, member: Echo | Listener) -> ATEDispatcher:
            if given:
                node = stack.enter_context(colugo_network.node(name).running())
                return stack.enter_context(dispatching(member, node=node))
            return stack.enter_context(dispatching(member, node=name, **on(colugo_network)))

        listener = Listener()
        add("answers", Echo("there"))
        add("asks", listener).send_request("topic", 1)
        answer = listener.result()
        assert (answer["topic"], answer["label"]) == ("topic", "there")
        assert list(answer["args"]) == [1]


# --- a node that runs elsewhere


def test_a_messenger_on_a_given_node_leaves_nothing_there_and_the_node_running(
    colugo_network: Network,
) -> None:
    got = Received()
    with (
        colugo_network.node("host").running() as node,
        Messenger(auto_start=False, **on(colugo_network)) as sender,
    ):
        messenger = Messenger(node=node)
        messenger.subscribe("news", got)
        assert wait_until(lambda: is_heard(sender))
        sender.send_message("news", "one")
        assert got.next() == "one"
        messenger.send_message("mine", "kept here", ack=1)
        assert messenger.name == "host"
        assert messenger.stop() == 1
        assert node.is_running
        assert wait_until(lambda: all(one.node != "host" for one in node.advertisements))
        assert wait_until(lambda: not is_heard(sender))
        again = Messenger(node=node)
        again.subscribe("news", got)
        assert wait_until(lambda: is_heard(sender))
        sender.send_message("news", "two")
        assert got.next() == "two"
        again.stop()
    with pytest.raises(ClosedError):
        messenger.send_message("news", "late")


def test_what_is_kept_on_a_given_node_is_handed_over_and_the_store_free_again(
    colugo_network: Network, tmp_path: Any
) -> None:
    with colugo_network.node("host").running() as node:
        store = tmp_path / "kept.db"
        first = Messenger(node=node, store=store, auto_start=False)
        first.send_message("news", "a", ack=1)
        assert first.stop() == 1
        second = Messenger(node=node, store=store, auto_start=False)
        with Relay(pub_port=None, recv_port=None, **on(colugo_network)).running() as relay:
            assert wait_until(lambda: second.stats.handed_over == 1, within=20)
            assert relay.stats.taken == 1
            assert second.stop() == 0


def test_a_messenger_on_a_given_node_that_has_stopped_ends(colugo_network: Network) -> None:
    with colugo_network.node("host").running() as node:
        messenger = Messenger(node=node)
    assert messenger.stop() == 0
    assert messenger.stopped()


def test_on_the_thread_of_its_node_a_messenger_refuses_to_wait(colugo_network: Network) -> None:
    with colugo_network.node("host").running() as node, Messenger(node=node) as messenger:

        async def stop() -> None:
            with pytest.raises(LifecycleError, match="on another thread than the node's"):
                messenger.stop()

        node.run(stop())
        messenger.send_message("news", "it still works")


def test_both_a_node_and_options_are_refused(colugo_network: Network) -> None:
    with colugo_network.node("host").running() as node:
        with pytest.raises(ConfigurationError, match="leave out node=, or realm="):
            Messenger(node=node, realm="x")
        with pytest.raises(ConfigurationError, match="leave out node=, or name="):
            Messenger(node=node, name="x")
        with pytest.raises(ConfigurationError, match="realm= needs node= with the name of a node, not <"):
            ATEDispatcher(node=node, realm="x")
    with pytest.raises(ConfigurationError, match="realm= needs node= with the name of a node, not None"):
        ATEDispatcher(realm="x")


def test_a_messenger_needs_a_node_that_runs() -> None:
    node = Node("idle")
    with pytest.raises(LifecycleError, match="'idle' must run before a messenger uses it"):
        Messenger(node=node)
    node.stop()
    not_a_node: Any = "host"
    with pytest.raises(ConfigurationError, match="node= takes a Node, not 'host'"):
        Messenger(node=not_a_node)

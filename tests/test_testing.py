"""The network in memory that users' tests get, and the plugin that gives it."""

import asyncio
from pathlib import Path

import pytest

from colugo import Node
from colugo.testing import Network
from tests.support.essentials import Program, run


def test_nodes_of_one_network_meet_and_those_of_another_do_not() -> None:
    async def main() -> None:
        here, elsewhere = Network(), Network()
        async with here.node("a") as a, here.node("b") as b, elsewhere.node("c") as c:
            publisher = a.add_publisher("t")
            subscriber = b.add_subscriber("t")
            c.add_subscriber("t")
            await publisher.ready()
            publisher.send("x")
            assert await anext(subscriber) == "x"
            b.add_reply_server("r", lambda message: message)
            assert await a.add_request_client("r").request("y") == "y"
            assert c.advertisements == []
        assert [one.closed for one in (publisher, subscriber)] == [True, True]

    run(main())


def test_leaving_a_network_withdraws_what_was_advertised() -> None:
    async def main() -> None:
        network = Network()
        async with network.node("stays") as stays:
            gone: asyncio.Queue[str] = asyncio.Queue()
            subscriber = stays.add_subscriber("t", on_disconnect=lambda peer, reason: gone.put_nowait(reason))
            async with network.node("leaves") as leaves:
                leaves.add_publisher("t")
                await subscriber.ready()
            assert await gone.get() == "withdrawn"
            assert stays.advertisements == []

    run(main())


def test_the_nodes_of_a_network_may_run_on_threads() -> None:
    network = Network()
    with network.node("a").running() as a, network.node("b").running() as b:
        publisher = a.add_publisher("t")
        subscriber = b.add_subscriber("t")
        a.run(publisher.ready(), timeout_ms=5000)
        publisher.send("x")
        assert b.run(subscriber.__anext__(), timeout_ms=5000) == "x"


def test_a_node_class_of_ones_own_joins_by_the_directory() -> None:
    class Sensor(Node):
        pass

    async def main() -> None:
        network = Network()
        async with Sensor("s", directory=network.directory()) as sensor, network.node("b") as b:
            publisher = sensor.add_publisher("t")
            await b.add_subscriber("t").ready()
            assert publisher.subscribers == 1

    run(main())


PLUGIN_TEST = """
def test_the_alarm_goes_off(colugo_network):
    with colugo_network.node("sensor").running() as sensor, colugo_network.node("alarm").running() as alarm:
        publisher = sensor.add_publisher("temperature")
        alarms = alarm.add_subscriber("temperature")
        sensor.run(publisher.ready())
        publisher.send("95")
        assert alarm.run(alarms.__anext__()) == "95"

def test_a_node_left_running_is_stopped(colugo_network):
    colugo_network.node("forgotten").running().__enter__()

def test_no_mdns_is_used(colugo_network, monkeypatch):
    monkeypatch.setattr("colugo.config.MdnsDirectory", None)
    with colugo_network.node("a").running():
        pass
"""


def test_the_plugin_gives_a_fixture(tmp_path: Path, realm: str) -> None:
    (tmp_path / "test_user.py").write_text(PLUGIN_TEST, encoding="utf-8")
    arguments = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "colugo.testing", str(tmp_path)]
    with Program(arguments, realm=realm, env={"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}) as program:
        assert program.wait(within=30) == 0, "\n".join(program.lines)
        assert "3 passed" in program.lines[-1]


def test_the_plugin_is_registered_by_the_package(pytestconfig: pytest.Config) -> None:
    assert pytestconfig.pluginmanager.get_plugin("colugo") or pytestconfig.pluginmanager.get_plugin(
        "colugo.testing"
    )

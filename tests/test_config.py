"""The options of a node, and the environment variables that stand in for them."""

import ast
import inspect

import pytest

from colugo.config import NodeConfig, NodeOptions
from colugo.errors import ConfigurationError
from colugo.net.addresses.interfaces import HOST, LOOPBACK
from colugo.net.discovery.static_peers import StaticPeer
from colugo.net.transport.port_choice import PortChoice
from colugo.node import Node
from tests.support.essentials import ROOT
from tests.support.layers import Sources, read_sources

SOURCES = read_sources(ROOT / "colugo")
PASSES_THE_ENVIRONMENT_ON = "colugo.cli.demo.processes"
VARIABLES = ("COLUGO_REALM", "COLUGO_SCOPE", "COLUGO_PEERS", "COLUGO_MDNS", "COLUGO_IPC", "COLUGO_PORT")
READERS = {"environ", "environb", "getenv", "getenvb", "expandvars"}


@pytest.fixture(autouse=True)
def _without_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


def environment_readers(sources: Sources) -> list[str]:
    """The modules that name something that reads the environment."""
    return sorted(
        module
        for module, source in sources.items()
        if any(
            (isinstance(node, ast.Attribute) and node.attr in READERS)
            or (isinstance(node, ast.ImportFrom) and READERS & {alias.name for alias in node.names})
            for node in ast.walk(ast.parse(source))
        )
    )


def test_only_the_configuration_reads_the_environment() -> None:
    assert environment_readers(SOURCES) == [PASSES_THE_ENVIRONMENT_ON, "colugo.config"]


@pytest.mark.parametrize(
    "line", ["import os; os.environ", "import os; os.getenv('A')", "from os import environ as e"]
)
def test_a_module_that_reads_the_environment_is_found(line: str) -> None:
    assert environment_readers({"colugo.good": "import os; os.sep", "colugo.bad": line}) == ["colugo.bad"]


def test_options_are_the_keyword_arguments_of_a_node() -> None:
    parameters = inspect.signature(Node).parameters.values()
    keywords = {one.name for one in parameters if one.kind is inspect.Parameter.KEYWORD_ONLY}
    assert keywords == NodeOptions.__optional_keys__


def test_without_options_and_variables_there_are_defaults() -> None:
    config = NodeConfig.resolve()
    assert (config.realm, config.scope.wanted, config.peers) == ("default", "lan", ())
    assert (config.mdns, config.ipc, config.port) == (True, True, PortChoice())
    assert (config.directory, config.max_message_bytes) == (None, 64 * 1024 * 1024)


def test_variables_stand_in_for_options(monkeypatch: pytest.MonkeyPatch) -> None:
    values = ("lab", f" {LOOPBACK} ", "192.0.2.7:1, h:2,", "0", "0", "4711")
    for name, value in zip(VARIABLES, values, strict=True):
        monkeypatch.setenv(name, value)
    config = NodeConfig.resolve()
    assert (config.realm, config.scope.addresses) == ("lab", (LOOPBACK,))
    assert config.peers == (StaticPeer("192.0.2.7", 1), StaticPeer("h", 2))
    assert (config.mdns, config.ipc, config.port) == (False, False, PortChoice(4711, shared=True))


def test_options_come_before_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.setenv(name, "!")
    config = NodeConfig.resolve(realm="r", scope="host", peers=["h:1"], mdns=False, ipc=True, port=4712)
    assert (config.realm, config.scope, config.peers) == ("r", HOST, (StaticPeer("h", 1),))
    assert (config.mdns, config.ipc, config.port) == (False, True, PortChoice(4712))


@pytest.mark.parametrize("name", VARIABLES)
def test_a_variable_that_cannot_work_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "!")
    with pytest.raises(ConfigurationError):
        NodeConfig.resolve()


def test_mdns_is_on_or_off(monkeypatch: pytest.MonkeyPatch) -> None:
    assert NodeConfig.resolve().mdns
    for text, expected in (("0", False), ("1", True), (" ", True)):
        monkeypatch.setenv("COLUGO_MDNS", text)
        assert NodeConfig.resolve().mdns is expected
        assert NodeConfig.resolve(mdns=not expected).mdns is not expected
    monkeypatch.setenv("COLUGO_MDNS", "off")
    with pytest.raises(ConfigurationError, match=r"COLUGO_MDNS must be 0 or 1, not 'off'"):
        Node("one")

"""Every test stays on this host, in a realm of its own; each run has a network of its own, if it may."""

import os
from collections.abc import Iterator

import pytest

from colugo import Node
from tests.support.essentials import new_realm
from tests.support.namespaces import leave_for_own_network

os.environ["COLUGO_SCOPE"] = "host"
DISCOVERY = os.environ.get("COLUGO_TEST_DISCOVERY", "mdns")
assert DISCOVERY in {"mdns", "static"}, f"COLUGO_TEST_DISCOVERY is mdns or static, not {DISCOVERY!r}"


def pytest_configure() -> None:
    """Let runs beside each other not meet, nor what else runs on this host."""
    leave_for_own_network()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out what is about mDNS itself when there is none."""
    if DISCOVERY == "static":
        items[:] = [item for item in items if item.get_closest_marker("mdns") is None]


@pytest.fixture(autouse=True)
def realm(monkeypatch: pytest.MonkeyPatch) -> str:
    """The test's realm, in the environment of its nodes and processes."""
    name = new_realm()
    monkeypatch.setenv("COLUGO_REALM", name)
    monkeypatch.setenv("COLUGO_SCOPE", "host")
    return name


@pytest.fixture(autouse=True)
def discovery(realm: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """With `COLUGO_TEST_DISCOVERY=static`, mDNS is off, and a node of the test's realm is everyone's peer."""
    if DISCOVERY == "mdns":
        yield
        return
    with Node("hub", mdns=False, scope="host", ipc=False).running() as hub:
        monkeypatch.setenv("COLUGO_MDNS", "0")
        monkeypatch.setenv("COLUGO_PEERS", f"127.0.0.1:{hub.run(_port(hub))}")
        yield


async def _port(hub: Node) -> int:
    return next(one.port for one in hub.nodes if one.node_id == hub.uuid.bytes)


@pytest.fixture(params=["ipc", "tcp"])
def transport(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How nodes and processes of the test talk on this host: what depends on it is tested with both."""
    monkeypatch.setenv("COLUGO_IPC", "1" if request.param == "ipc" else "0")
    return str(request.param)

"""Every test stays on this host, in a realm of its own."""

import os

import pytest

from tests.support import new_realm

os.environ["COLUGO_SCOPE"] = "host"


@pytest.fixture(autouse=True)
def realm(monkeypatch: pytest.MonkeyPatch) -> str:
    """The test's realm, in the environment of its nodes and processes."""
    name = new_realm()
    monkeypatch.setenv("COLUGO_REALM", name)
    monkeypatch.setenv("COLUGO_SCOPE", "host")
    return name


@pytest.fixture(params=["ipc", "tcp"])
def transport(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How nodes and processes of the test talk on this host: what depends on it is tested with both."""
    monkeypatch.setenv("COLUGO_IPC", "1" if request.param == "ipc" else "0")
    return str(request.param)

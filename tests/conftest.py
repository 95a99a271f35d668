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

"""The built-in targets as a configuration file makes them."""

from pathlib import Path
from typing import Any

import pytest

from colugo.distributor import (
    Distributor,
    FileTarget,
    GraphiteFormatter,
    TcpTarget,
    UdpTarget,
    read_configuration,
)
from colugo.distributor.configuration.assembly import Assembly
from colugo.errors import ConfigurationError

SECTIONS = """
[targets.console]
[targets.file]
path = "out/log"
max_bytes = 1000
[targets.graphite]
host = "127.0.0.1"
[targets.http]
url = "https://127.0.0.1/hook"
headers = { X-Secret = "s" }
ca_file = "ca.pem"
retries = 3
[targets.stream]
topic = "alerts"
store = "alerts.db"
[targets.tcp]
host = "127.0.0.1"
port = 1234
workers = 2
[targets.topic]
topic = "alerts"
codec = "json"
[targets.udp]
host = "::1"
port = 1234
terminator = ""
[targets.websocket]
port = 0
max_queued = 10
full = "wait"
"""


def made(tmp_path: Path, text: str) -> dict[str, Any]:
    file = tmp_path / "distributor.toml"
    file.write_text(text)
    distributor = Distributor()
    Assembly(distributor, read_configuration(file)).add_all()
    return distributor.targets


def test_every_built_in_target_can_be_configured(tmp_path: Path) -> None:
    targets = made(tmp_path, SECTIONS)
    assert [type(target).__name__.removesuffix("Target").lower() for target in targets.values()] == list(
        targets
    )
    assert isinstance(targets["graphite"].formatter, GraphiteFormatter)
    assert targets["graphite"].port == 2003
    tcp, udp, file = targets["tcp"], targets["udp"], targets["file"]
    assert isinstance(tcp, TcpTarget)
    assert isinstance(udp, UdpTarget)
    assert isinstance(file, FileTarget)
    assert (tcp.terminator, udp.terminator) == ("\n", "")
    assert TcpTarget("127.0.0.1", 1).terminator == ""
    assert file.path == tmp_path / "out/log"


@pytest.mark.parametrize(
    ("section", "error"),
    [
        ("tcp]\nhost = ''", "target type 'tcp' needs port"),
        ("http]\nurl = 'ws://x'", "url must be http"),
        ("websocket]\nport = 'x'", "port: expected int"),
        ("file]\npath = 'x'\nmax_byte = 1", "max_byte: unknown key; did you mean 'max_bytes'"),
    ],
)
def test_an_error_names_the_file_and_the_key(tmp_path: Path, section: str, error: str) -> None:
    with pytest.raises(ConfigurationError, match=f"distributor.toml.*{error}"):
        made(tmp_path, f"[targets.{section}\n")

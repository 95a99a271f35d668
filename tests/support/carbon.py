"""Debian's carbon-cache, with folders of its own, and the metrics it has stored."""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.essentials import free_port, seconds, wait_until

_PROGRAMS = ("carbon-cache", "whisper-fetch")
_CONFIGURATION = """
[cache]
STORAGE_DIR = {folder}
LOCAL_DATA_DIR = {folder}/whisper/
CONF_DIR = {folder}
LOG_DIR = {folder}/log/
PID_DIR = {folder}
USER =
LINE_RECEIVER_INTERFACE = 127.0.0.1
LINE_RECEIVER_PORT = {port}
PICKLE_RECEIVER_PORT = 0
CACHE_QUERY_INTERFACE = 127.0.0.1
CACHE_QUERY_PORT = 0
CARBON_METRIC_INTERVAL = 0
MAX_CREATES_PER_MINUTE = inf
"""
_SCHEMAS = """
[default]
pattern = .*
retentions = 1s:1h
"""


class Carbon:
    """A running carbon-cache.

    Args:
        folder: where it keeps everything.
        port: of its plaintext protocol.
    """

    def __init__(self, folder: Path, port: int) -> None:
        self.port = port
        self._folder = folder

    def wait_for(self, path: str) -> dict[int, float]:
        """Return the values of a metric by their Unix seconds, when it has any."""
        found: dict[int, float] = {}

        def stored() -> bool:
            found.update(self._read(path))
            return bool(found)

        assert wait_until(stored, within=20), f"no {path} in {self._stored()}"
        return found

    def _stored(self) -> list[Path]:
        return sorted((self._folder / "whisper").rglob("*.wsp"))

    def _read(self, path: str) -> dict[int, float]:
        file = self._folder / "whisper" / (path.replace(".", "/") + ".wsp")
        if not file.exists():
            return {}
        since = str(int(time.time()) - 600)
        done = subprocess.run(
            ["whisper-fetch", "--json", f"--from={since}", file],
            env=_environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:  # it is being written
            return {}
        read = json.loads(done.stdout)
        times = range(read["start"], read["end"], read["step"])
        return {at: value for at, value in zip(times, read["values"], strict=True) if value is not None}


@contextmanager
def carbon(folder: Path) -> Iterator[Carbon]:
    """Run a carbon-cache on loopback; skip the test if it is not installed, except in CI."""
    missing = [program for program in _PROGRAMS if shutil.which(program) is None]
    if missing:
        assert not os.environ.get("COLUGO_CI"), f"{missing} is needed: apt-get install graphite-carbon"
        pytest.skip(f"{missing} is not installed")
    port = free_port()
    (folder / "carbon.conf").write_text(_CONFIGURATION.format(folder=folder, port=port))
    (folder / "storage-schemas.conf").write_text(_SCHEMAS)
    with (folder / "output").open("wb") as output:
        process = subprocess.Popen(
            ["carbon-cache", f"--config={folder}/carbon.conf", "--nodaemon", "start"],
            env=_environment(),
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        ready = wait_until(lambda: f"starting on {port}" in (folder / "output").read_text(), within=20)
        assert ready, (folder / "output").read_text()
        yield Carbon(folder, port)
    finally:
        process.terminate()
        try:
            process.wait(seconds(10))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _environment() -> dict[str, str]:
    """The environment without what would make Debian's programs import from elsewhere."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}

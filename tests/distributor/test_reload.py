"""Plugins that change while the distributor runs, under load."""

import asyncio
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from colugo import ConfigurationError
from colugo.distributor import AbstractDistributionSource, Distributor, ThreadedDistributionTarget
from colugo.distributor.base import OnMessage
from colugo.distributor.configuration.assembly import Assembly
from colugo.distributor.plugins import plugin_watcher
from colugo.distributor.plugins.plugin_directory import PluginDirectory
from colugo.distributor.plugins.plugin_watcher import watch
from tests.support.essentials import free_port, is_free, run, until

PLUGIN = """
import socket
import plugin_record as record
from colugo.distributor import ThreadedDistributionTarget

class Bound(ThreadedDistributionTarget):
    def open(self):
        self.server = socket.create_server(("127.0.0.1", record.port))
        record.opened.append(VERSION)

    def close(self, code=-1, reason=""):
        super().close(code, reason)
        self.server.close()
        record.closed.append(VERSION)

    def process(self, message):
        record.got.append((VERSION, message))

def create_bound_target():
    return Bound(poolsize=1)
"""
SOURCE = """
import plugin_record as record
from colugo.distributor import AbstractDistributionSource

class Feed(AbstractDistributionSource):
    def set_on_message(self, function): self.send = function
    def open(self):
        record.opened.append(VERSION)
        self.send(VERSION)
    def close(self, code=-1, reason=""): record.closed.append(VERSION)

def create_feed_source():
    return Feed()
"""


class Load(AbstractDistributionSource):
    """Sends numbers, as many as are taken, until it is closed."""

    def __init__(self) -> None:
        self.sent = 0
        self._task: asyncio.Task[None] | None = None

    def set_on_message(self, message_function: OnMessage) -> None:
        self._send = message_function

    def open(self) -> None:
        self._task = asyncio.create_task(self._run())

    def close(self, code: int = -1, reason: str = "") -> None:
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        while True:
            for _ in range(10):
                self.sent += 1
                await self._send(self.sent)
            await asyncio.sleep(0.002)


class Kept(ThreadedDistributionTarget):
    def __init__(self) -> None:
        super().__init__(poolsize=1)
        self.got: list[Any] = []

    def process(self, message: Any) -> None:
        self.got.append(message)


@pytest.fixture
def record(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A module that plugins report to."""
    made = SimpleNamespace(opened=[], closed=[], got=[], port=free_port())
    monkeypatch.setitem(sys.modules, "plugin_record", made)
    return made


@asynccontextmanager
async def following(folder: Path, distributor: Distributor) -> AsyncIterator[PluginDirectory]:
    """Run a distributor that follows the changes of a plugin directory."""
    plugins = PluginDirectory(folder)
    assembly = Assembly(distributor, plugins=plugins)
    assembly.add_all()
    await distributor.start()
    running = asyncio.create_task(distributor.run())
    watching = asyncio.create_task(watch(folder, assembly.reload))
    try:
        yield plugins
    finally:
        watching.cancel()
        await asyncio.wait([watching])
        await distributor.shutdown()
        await running
        plugins.close()


def version(text: str, number: int) -> str:
    return text.replace("VERSION", str(number))


def sockets() -> int:
    return len(psutil.Process().net_connections("all"))


# --- one change at a time


def test_files_that_come_change_break_and_go_are_followed(
    tmp_path: Path, record: SimpleNamespace, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "bound.py"

    async def main() -> None:
        distributor = Distributor()
        async with following(tmp_path, distributor):
            file.write_text(version(PLUGIN, 1))
            await until(lambda: record.opened == [1])
            file.write_text(version(PLUGIN, 2))
            await until(lambda: record.opened == [1, 2])
            assert record.closed == [1]
            target = distributor.targets["bound"]
            file.write_text("def broken(:")
            await until(lambda: "SyntaxError" in caplog.text)
            file.write_text(version(PLUGIN, 3).replace("return Bound", "raise OSError('no paper')  #"))
            await until(lambda: "OSError: no paper" in caplog.text)
            assert distributor.targets["bound"] is target
            file.unlink()
            await until(lambda: record.closed == [1, 2])
            assert distributor.targets == {}
        assert is_free(record.port)

    run(main())


def test_a_source_that_changes_is_exchanged(tmp_path: Path, record: SimpleNamespace) -> None:
    async def main() -> None:
        distributor, kept = Distributor(), Kept()
        distributor.add_target(kept)
        (tmp_path / "feed.py").write_text(version(SOURCE, 1))
        async with following(tmp_path, distributor):
            await until(lambda: kept.got == [1])
            (tmp_path / "feed.py").write_text(version(SOURCE, 2))
            await until(lambda: kept.got == [1, 2])
            assert (record.opened, record.closed) == ([1, 2], [1])
            (tmp_path / "feed.py").unlink()
            await until(lambda: distributor.sources == {})
            assert record.closed == [1, 2]

    run(main())


def test_a_module_that_two_plugins_import_exchanges_both_and_no_other(
    tmp_path: Path, record: SimpleNamespace
) -> None:
    plugin = "from .base import Base\ndef create_NAME_target(): return Base(poolsize=1)"
    base = """
from colugo.distributor import ThreadedDistributionTarget
class Base(ThreadedDistributionTarget):
    version = VERSION
    def process(self, message): ...
"""
    (tmp_path / "__init__.py").write_text("from .one import create_one_target")
    (tmp_path / "base.py").write_text(version(base, 1))
    for name in ("one", "two"):
        (tmp_path / f"{name}.py").write_text(plugin.replace("NAME", name))
    (tmp_path / "bound.py").write_text(version(PLUGIN, 1))

    async def main() -> None:
        distributor = Distributor()
        async with following(tmp_path, distributor):

            def versions() -> list[Any]:
                return [getattr(distributor.targets[name], "version", None) for name in ("one", "two")]

            assert versions() == [1, 1]
            (tmp_path / "base.py").write_text(version(base, 2))
            await until(lambda: versions() == [2, 2])
            assert record.opened == [1]

    run(main())


def test_without_watchfiles_watching_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugin_watcher, "watchfiles", None)

    async def reload() -> None: ...

    with pytest.raises(ConfigurationError, match=r"pip install 'colugo\[distributor\]'"):
        run(watch(tmp_path, reload))


# --- under load


@pytest.mark.parametrize("changes", [3, pytest.param(50, marks=pytest.mark.slow)])
def test_a_target_that_changes_under_load_loses_no_message_of_any_target(
    tmp_path: Path, record: SimpleNamespace, changes: int
) -> None:
    file = tmp_path / "bound.py"
    file.write_text(version(PLUGIN, 0))
    others = set(threading.enumerate())

    async def main() -> None:
        distributor, kept, load = Distributor(), Kept(), Load()
        distributor.add_target(kept)
        distributor.add_source(load)
        async with following(tmp_path, distributor):
            await until(lambda: record.got)
            threads, sockets_before = threading.active_count(), sockets()
            for number in range(1, changes + 1):
                file.write_text(version(PLUGIN, number))
                await until(lambda number=number: record.got[-1][0] == number)  # type: ignore[misc]
            await until(lambda: threading.active_count() <= threads)
            assert sockets() == sockets_before
        numbers = list(range(1, load.sent + 1))
        assert kept.got == numbers
        assert [message for _, message in record.got] == numbers
        assert record.opened == record.closed == list(range(changes + 1))
        assert is_free(record.port)
        await until(
            lambda: not [one.name for one in set(threading.enumerate()) - others if "target" in one.name]
        )

    run(main(), within=60)


def test_a_target_that_is_added_under_load_gets_messages_only_when_it_is_open(
    tmp_path: Path, record: SimpleNamespace
) -> None:
    slow = version(PLUGIN, 1).replace(
        "record.opened.append", "import time; time.sleep(0.2); record.opened.append"
    )
    checked = slow.replace("record.got.append", "assert record.opened; record.got.append")

    async def main() -> None:
        distributor, load = Distributor(), Load()
        distributor.add_source(load)
        async with following(tmp_path, distributor):
            (tmp_path / "bound.py").write_text(checked)
            await until(lambda: record.got)
            assert distributor.stats["bound"].failed == 0

    run(main())

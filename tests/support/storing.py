"""Helpers of the stores' tests: awaitable calls, messages, small disks."""

import asyncio
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest

from colugo.errors import StoreError
from colugo.protocol.streams.stream_message import FLAG_TEXT, StreamMessage
from colugo.store import CommitOutcome, DeadQuery, Store, StoredDeadLetter, Transaction
from colugo.store.sqlite.sqlite_store import SqliteStore

T = TypeVar("T")

LOGGER = logging.getLogger("store test")
ALL = 2**40


def message(seq: int, payload: bytes = b"", key: str = "", **fields: Any) -> StreamMessage:
    """A message whose content tells its number."""
    return StreamMessage(seq, key, b"", payload or b"%d " % seq * 20, FLAG_TEXT, seq * 1000, **fields)


def letter(seq: int, group: str = "g", key: str = "") -> StoredDeadLetter:
    """A dead letter."""
    return StoredDeadLetter(message(seq, key=key), group, 2, "raised", "Traceback …\nValueError: é", 5)


async def answer(ask: Callable[[Callable[[T | StoreError], None]], None]) -> T:
    """Return the result that a store calls back with, or raise its error."""
    future: asyncio.Future[T | StoreError] = asyncio.get_running_loop().create_future()
    ask(future.set_result)
    found = await future
    if isinstance(found, StoreError):
        raise found
    return found


async def commit(store: Store, **parts: Any) -> CommitOutcome:
    """Do a transaction."""
    return await answer(lambda done: store.commit(Transaction(**parts), done))


async def read(store: Store, after: int = 0, limit: int = ALL, max_bytes: int = ALL) -> list[StreamMessage]:
    """Read messages."""
    return await answer(lambda done: store.read(after, limit, max_bytes, done))


async def get(store: Store, *seqs: int) -> list[StreamMessage]:
    """Read the messages with some numbers."""

    def ask(done: Callable[[list[StreamMessage] | StoreError], None]) -> None:
        store.get(list(seqs), done)

    return await answer(ask)


async def dead_letters(store: Store, **query: Any) -> list[StoredDeadLetter]:
    """Read dead letters."""
    return await answer(lambda done: store.dead_letters(DeadQuery(**query), done))


def sqlite_store(path: Path, **options: Any) -> SqliteStore:
    """A store in a file."""
    return SqliteStore(path, logger=LOGGER, **options)


def fill(path: Path, count: int, batch: int = 100) -> list[StreamMessage]:
    """Make a store with so many messages, and close it."""
    store = sqlite_store(path, durability="os")
    last = store.open().last_seq
    messages = [message(last + 1 + number) for number in range(count)]
    for at in range(0, count, batch):
        store.commit(Transaction(inserts=messages[at : at + batch]), expect)
    store.close()
    return messages


def expect(found: object) -> None:
    """Take an answer that is no error."""
    if isinstance(found, StoreError):
        raise found


def content(path: Path) -> tuple[list[StreamMessage], list[int]]:
    """Open a store and close it again.

    Returns:
        Its messages, and the numbers of damaged ones.

    Raises:
        StoreError: if it cannot be opened, or read.
    """
    store = sqlite_store(path)
    corrupt: list[int] = []
    store.on_corrupt = corrupt.extend
    store.open()
    found: list[list[StreamMessage] | StoreError] = []
    try:
        store.read(0, ALL, ALL, found.append)
    finally:
        store.close()
    expect(found[0])
    assert isinstance(found[0], list)
    return found[0], corrupt


def copy_store(path: Path, to: Path) -> None:
    """Copy a store and its log; in a process of its own, for closing a file takes this one's locks away."""
    for end in ("", "-wal"):
        if path.with_name(path.name + end).exists():
            subprocess.run(["cp", f"{path}{end}", f"{to}{end}"], check=True)


def _require_root(tool: str) -> None:
    reason = ""
    if sys.platform != "linux" or shutil.which(tool) is None:
        reason = f"needs Linux and {tool}"
    elif os.geteuid() != 0:
        reason = "needs root, to mount a small disk"
    if reason and os.environ.get("COLUGO_CI"):
        pytest.fail(f"CI must be able to run this test: {reason}")
    if reason:
        pytest.skip(reason)


def require_tool(tool: str) -> None:
    """Skip the test where a program is missing; in CI that is a failure."""
    if shutil.which(tool) is None:
        if os.environ.get("COLUGO_CI"):
            pytest.fail(f"CI must be able to run this test: {tool} is missing")
        pytest.skip(f"needs {tool}")


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """A disk of its own, in memory, at a folder that is made for it; `size` is such as `"32m"`."""
    _require_root("mount")
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "colugo-test", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)
        folder.rmdir()


@contextmanager
def without_rights() -> Iterator[None]:
    """Be a user that owns nothing, for whom permissions bind."""
    _require_root("mount")
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)

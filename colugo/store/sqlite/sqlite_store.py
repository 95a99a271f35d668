"""A store in an SQLite file."""

import asyncio
import logging
import sqlite3
from collections.abc import Callable
from functools import partial
from os import PathLike
from pathlib import Path
from typing import TypeVar

from colugo.errors import ClosedError, LifecycleError, StoreError
from colugo.store.base import Committed, DeadQuery, OpenedStore, Read, ReadDead, Transaction
from colugo.store.sqlite import row_reader
from colugo.store.sqlite.commits import Commits
from colugo.store.sqlite.failure import full_failure, store_failure
from colugo.store.sqlite.job_queue import JobQueue
from colugo.store.sqlite.reserve import Reserve
from colugo.store.sqlite.row_reader import read_opened
from colugo.store.sqlite.row_writer import DamagedRows, RowTotals
from colugo.store.sqlite.store_file import Durability, StoreFile

T = TypeVar("T")


class SqliteStore:
    """A store in one SQLite file (WAL), which it uses exclusively while it is open.

    Statements run on the loop's thread; only steps that wait for the disk (COMMIT, checkpoints) run on the
    store's own thread. Python's module releases the interpreter's lock at each row, and beside a busy loop,
    getting it back takes up to 5 ms (`sys.getswitchinterval`): measured, 700 rows/s on a thread.

    Args:
        path: the file. It is created if it does not exist; its folder must exist.
        topic: the stream's topic, which the file stores; None accepts a file of any topic.
        durability: `"full"` syncs each commit to the disk; with `"os"`, commits survive the end of the
            process, but not a power failure.

    Attributes:
        topic: the stream's topic. If it was None, `open` sets it to the one in the file, `""` if unknown.
    """

    on_corrupt: Callable[[list[int]], None] | None = None

    def __init__(
        self,
        path: str | PathLike[str],
        *,
        topic: str | None = None,
        durability: Durability = "full",
        logger: logging.Logger,
    ) -> None:
        self.path = Path(path).absolute()
        self.topic = topic
        self._durability = durability
        self._logger = logger
        self._reserve = Reserve(self.path)
        self._jobs = JobQueue(f"colugo store {self.path.name}")
        self._file: StoreFile | None = None
        self._commits: Commits | None = None
        self._closing = False
        self._shut: asyncio.Future[None] | None = None

    def open(self) -> OpenedStore:
        """Open the file; see `Store.open`.

        Raises:
            ConfigurationError: if the durability is unknown.
            LifecycleError: if the store was opened before.
            StoreError: if the file is damaged, no store, of another layout or topic, in use, or not
                writable.
        """
        if self._file is not None or self._closing:
            raise LifecycleError(f"the store {self.path} was opened before")
        file = StoreFile(self.path, self._durability, self._logger, self.topic or "")
        try:
            opened = read_opened(file.connection, self.path)
            self._check_topic(opened.topic)
        except sqlite3.Error as error:
            file.abandon()
            raise store_failure(self.path, error) from error
        except BaseException:
            file.abandon()
            raise
        self._file = file
        if not self._reserve.take():
            self._logger.warning("%s", full_failure(self.path))
        self._commits = Commits(
            file,
            RowTotals(
                opened.stream_id, opened.last_seq, opened.count, opened.size, opened.dead, opened.topic
            ),
            jobs=self._jobs,
            reserve=self._reserve,
            logger=self._logger,
        )
        return opened

    def _check_topic(self, stored: str) -> None:
        """Refuse a file of another stream, whose groups and messages are different ones."""
        if self.topic is None:
            self.topic = stored
        elif stored and stored != self.topic:
            raise StoreError(f"the store {self.path} belongs to the stream {stored!r}, not to {self.topic!r}")

    async def aclose(self) -> None:
        """Finish pending work and close. Closing again does nothing."""
        if not self._closing and self._file is not None:
            self._shut = asyncio.get_running_loop().create_future()
            self._jobs.add(lambda: self._jobs.run_on_disk(self._shut_file, self._ended))
        self._closing = True
        if self._shut is not None:
            await asyncio.shield(self._shut)
            self._jobs.finish()

    def close(self) -> None:
        """Close without a loop; blocks until pending work is done."""
        self._jobs.finish()
        if not self._closing:
            self._closing = True
            self._shut_file()

    def _shut_file(self) -> None:
        if self._file is None:
            return
        self._reserve.release()
        try:
            self._file.close()
        except sqlite3.Error as error:
            self._logger.warning(
                "%s; part of its data is still in %s-wal", store_failure(self.path, error), self.path.name
            )

    def _ended(self, error: Exception | None) -> None:
        assert error is None, "logged above"
        if self._shut is not None and not self._shut.done():
            self._shut.set_result(None)

    def commit(self, transaction: Transaction, done: Committed) -> None:
        """Carry out a transaction; see `Store.commit`.

        Raises:
            ClosedError: if the store is closed or closing.
            UnicodeEncodeError: if a key or group has a lone surrogate.
        """
        self._opened()
        assert self._commits is not None
        self._commits.add(transaction, done)

    def read(self, after: int, limit: int, max_bytes: int, done: Read) -> None:
        """Read messages in the order of their sequence numbers; see `Store.read`."""
        connection = self._opened()
        self._read(
            lambda damaged: row_reader.messages_after(connection, after, limit, max_bytes, damaged.messages),
            done,
        )

    def get(self, seqs: list[int], done: Read) -> None:
        """Read messages by sequence number; see `Store.get`."""
        connection = self._opened()
        self._read(lambda damaged: row_reader.messages_at(connection, seqs, damaged.messages), done)

    def dead_letters(self, query: DeadQuery, done: ReadDead) -> None:
        """Read dead letters; see `Store.dead_letters`."""
        connection = self._opened()
        self._read(lambda damaged: row_reader.dead_letters(connection, query, damaged.dead), done)

    def _opened(self) -> sqlite3.Connection:
        if self._closing:
            raise ClosedError(f"the store {self.path} is closed")
        if self._file is None:
            raise LifecycleError(f"the store {self.path} is not open")
        return self._file.connection

    def _read(
        self, query: Callable[[DamagedRows], list[T]], done: Callable[[list[T] | StoreError], None]
    ) -> None:
        self._jobs.add(partial(self._run_query, query, done))

    def _run_query(
        self, query: Callable[[DamagedRows], list[T]], done: Callable[[list[T] | StoreError], None]
    ) -> None:
        damaged = DamagedRows([], [])
        try:
            answer: list[T] | StoreError = query(damaged)
        except Exception as error:  # noqa: BLE001 - passed to the callback
            answer = store_failure(self.path, error)
        if damaged.messages or damaged.dead:
            self._set_aside(damaged)
        _call(done, answer)

    def _set_aside(self, damaged: DamagedRows) -> None:
        self._logger.error(
            "the store %s has %d damaged messages, set aside: %s; and %d damaged dead letters",
            self.path,
            len(damaged.messages),
            damaged.messages,
            len(damaged.dead),
        )
        assert self._commits is not None
        self._commits.set_aside(damaged)
        if self.on_corrupt is not None and damaged.messages:
            _call(self.on_corrupt, damaged.messages)


def _call(callback: Callable[[T], None], value: T) -> None:
    """Call back in the loop's next turn, or immediately without a loop."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        callback(value)
    else:
        loop.call_soon(callback, value)

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
from colugo.store.sqlite.damage import Damaged
from colugo.store.sqlite.failure import full_failure, store_failure
from colugo.store.sqlite.job_queue import JobQueue
from colugo.store.sqlite.reserve import Reserve
from colugo.store.sqlite.row_reader import look_into
from colugo.store.sqlite.row_writer import RowTotals
from colugo.store.sqlite.store_file import Durability, StoreFile

T = TypeVar("T")


class SqliteStore:
    """Keeps a stream's messages in one SQLite file (WAL), which is this object's alone while it is open.

    Statements run on the loop's thread, and only what waits for the disk (COMMIT, checkpoints) on the store's
    own: Python's module gives up the interpreter's lock at each row, and while the loop is busy, getting it
    back takes up to 5 ms (`sys.getswitchinterval`). Measured beside a busy loop: 700 rows/s on a thread.

    Args:
        path: of the file; it is made if it is not there, in a folder that is.
        topic: of the stream, which the file remembers; None to take that of any.
        durability: `"full"`: what was committed has been synced to the disk; `"os"`: it outlives the process,
            but not a power failure.
        logger: hears what was damaged, and when there is no room.

    Attributes:
        path: of the file, absolute.
        on_corrupt: as in `Store`.
        topic: of the stream; when it is open, and is not None, as the file has it, "" if it does not know.
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
        self._line = JobQueue(f"colugo store {self.path.name}")
        self._file: StoreFile | None = None
        self._commits: Commits | None = None
        self._closing = False
        self._shut: asyncio.Future[None] | None = None

    # --- opening and closing

    def open(self) -> OpenedStore:
        """Open the file; see `Store.open`.

        Raises:
            ConfigurationError: if there is no such durability.
            LifecycleError: if it was opened before.
            StoreError: if it is damaged, no store, of another layout or topic, in use, or cannot be written.
        """
        if self._file is not None or self._closing:
            raise LifecycleError(f"the store {self.path} was opened before")
        file = StoreFile(self.path, self._durability, self._logger, self.topic or "")
        try:
            opened = look_into(file.connection, self.path)
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
            line=self._line,
            reserve=self._reserve,
            logger=self._logger,
        )
        return opened

    def _check_topic(self, stored: str) -> None:
        """A store of another stream has groups of its own, and messages that mean something else."""
        if self.topic is None:
            self.topic = stored
        elif stored and stored != self.topic:
            raise StoreError(f"the store {self.path} is of a stream of {stored!r}, not of {self.topic!r}")

    async def aclose(self) -> None:
        """Finish what was given, and close; more than once is fine."""
        if not self._closing and self._file is not None:
            self._shut = asyncio.get_running_loop().create_future()
            self._line.add(lambda: self._line.beside(self._shut_file, self._ended))
        self._closing = True
        if self._shut is not None:
            await asyncio.shield(self._shut)
            self._line.finish()

    def close(self) -> None:
        """The same without a loop; it blocks."""
        self._line.finish()
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
                "%s; part of it is in %s-wal", store_failure(self.path, error), self.path.name
            )

    def _ended(self, error: Exception | None) -> None:
        assert error is None, "logged above"
        if self._shut is not None and not self._shut.done():
            self._shut.set_result(None)

    # --- what is given

    def commit(self, transaction: Transaction, done: Committed) -> None:
        """Do a transaction; see `Store.commit`.

        Raises:
            ClosedError: when it is closed, or being closed.
            UnicodeEncodeError: if a key or group has a lone surrogate.
        """
        self._opened()
        assert self._commits is not None
        self._commits.add(transaction, done)

    def read(self, after: int, limit: int, max_bytes: int, done: Read) -> None:
        """Read messages in the order of their numbers; see `Store.read`."""
        connection = self._opened()
        self._ask(
            lambda damaged: row_reader.messages(connection, after, limit, max_bytes, damaged.messages), done
        )

    def get(self, seqs: list[int], done: Read) -> None:
        """Read some messages; see `Store.get`."""
        connection = self._opened()
        self._ask(lambda damaged: row_reader.some(connection, seqs, damaged.messages), done)

    def dead_letters(self, query: DeadQuery, done: ReadDead) -> None:
        """Read dead letters; see `Store.dead_letters`."""
        connection = self._opened()
        self._ask(lambda damaged: row_reader.dead_letters(connection, query, damaged.dead), done)

    def _opened(self) -> sqlite3.Connection:
        if self._closing:
            raise ClosedError(f"the store {self.path} is closed")
        if self._file is None:
            raise LifecycleError(f"the store {self.path} is not open")
        return self._file.connection

    def _ask(
        self, question: Callable[[Damaged], list[T]], done: Callable[[list[T] | StoreError], None]
    ) -> None:
        self._line.add(partial(self._answer, question, done))

    def _answer(
        self, question: Callable[[Damaged], list[T]], done: Callable[[list[T] | StoreError], None]
    ) -> None:
        damaged = Damaged([], [])
        try:
            answer: list[T] | StoreError = question(damaged)
        except Exception as error:  # noqa: BLE001 - whatever it is, whoever waits is told
            answer = store_failure(self.path, error)
        if damaged.messages or damaged.dead:
            self._put_aside(damaged)
        _call(done, answer)

    def _put_aside(self, damaged: Damaged) -> None:
        self._logger.error(
            "the store %s has %d damaged messages, put aside: %s; and %d damaged dead letters",
            self.path,
            len(damaged.messages),
            damaged.messages,
            len(damaged.dead),
        )
        assert self._commits is not None
        self._commits.put_aside(damaged)
        if self.on_corrupt is not None and damaged.messages:
            _call(self.on_corrupt, damaged.messages)


def _call(callback: Callable[[T], None], value: T) -> None:
    """In the loop's next turn; at once without a loop."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        callback(value)
    else:
        loop.call_soon(callback, value)

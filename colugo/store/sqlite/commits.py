"""Transactions on a store's file: begun, committed, and tried again when there is no room."""

import logging
import time
from dataclasses import dataclass
from functools import partial

from colugo.store.base import CommitOutcome, Committed, Transaction
from colugo.store.sqlite.damage import Damaged, move_aside
from colugo.store.sqlite.disk_thread import Step
from colugo.store.sqlite.failure import full_failure, is_full, store_failure
from colugo.store.sqlite.free_pages import has_pages, is_mostly_empty, shrink
from colugo.store.sqlite.job_queue import JobQueue
from colugo.store.sqlite.reserve import Reserve
from colugo.store.sqlite.row_writer import Prepared, RowTotals, prepare, write
from colugo.store.sqlite.store_file import StoreFile

_RETAKE_S = 1.0


@dataclass(slots=True)
class _Commit:
    prepared: Prepared
    done: Committed
    chances: list[Step]
    """What may help if there is no room."""


class Commits:
    """Does transactions, one at a time.

    Args:
        file: the open file.
        totals: what is in it.
        line: where jobs wait.
        reserve: room for the time when there is none.
        logger: hears what nobody else is told.
    """

    def __init__(
        self, file: StoreFile, totals: RowTotals, *, line: JobQueue, reserve: Reserve, logger: logging.Logger
    ) -> None:
        self._file = file
        self._connection = file.connection
        self._totals = totals
        self._line = line
        self._reserve = reserve
        self._logger = logger
        self._retake_at = 0.0
        self._may_shrink = True

    def add(self, transaction: Transaction, done: Committed) -> None:
        """Do a transaction in its turn.

        Raises:
            UnicodeEncodeError: if a key or group has a lone surrogate.
        """
        chances: list[Step] = [self._file.write_log]
        if not transaction.inserts:
            chances.append(self._use_reserve)
        commit = _Commit(prepare(transaction), done, chances)
        self._line.add(partial(self._begin, commit))

    def put_aside(self, damaged: Damaged) -> None:
        """Move damaged rows to a table of their own, before anything else is done."""
        self._line.add_next(partial(self._move_aside, damaged))

    def _begin(self, commit: _Commit) -> None:
        if commit.prepared.messages and not self._has_room(commit.prepared.size):
            commit.done(full_failure(self._file.path))
            return
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            totals, outcome = write(self._connection, commit.prepared, self._totals)
        except Exception as error:  # noqa: BLE001 - whatever it is, whoever waits is told
            self._failed(commit, error)
        else:
            self._line.beside(self._commit, partial(self._ended, commit, totals, outcome))

    def _ended(
        self, commit: _Commit, totals: RowTotals, outcome: CommitOutcome, error: Exception | None
    ) -> None:
        if error is not None:
            self._failed(commit, error)
            return
        self._totals = totals
        if commit.prepared.transaction.deletes and self._may_shrink:
            self._line.add_next(self._shrink)
        commit.done(outcome)

    def _failed(self, commit: _Commit, error: Exception) -> None:
        self._roll_back()
        if is_full(error) and commit.chances:
            # If it does not help, trying again says so.
            self._line.beside(commit.chances.pop(0), lambda _: self._begin(commit))
            return
        commit.done(store_failure(self._file.path, error))

    def _commit(self) -> None:
        self._connection.execute("COMMIT")

    def _roll_back(self) -> None:
        # SQLite has done so itself after some errors
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    # --- room

    def _has_room(self, size: int) -> bool:
        """Whether messages of so many bytes can be taken so that they can be deleted again.

        Without a reserve, they must fit into what the file has already: when the log is written to it, it
        could not grow, and then nothing more could be logged, deletions neither.
        """
        now = time.monotonic()
        if self._reserve.held or now >= self._retake_at:
            self._retake_at = now + _RETAKE_S
            if self._reserve.allows(size):
                return True
        return has_pages(self._connection, size)

    def _use_reserve(self) -> None:
        if self._reserve.held:
            self._logger.warning(
                "%s; until then, it takes no more messages than fit into the file",
                full_failure(self._file.path),
            )
        self._reserve.release()
        # PASSIVE: the log keeps its pages, which are written again from their beginning.
        self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)")

    def _shrink(self) -> None:
        if is_mostly_empty(self._connection, self._totals.size):
            self._line.beside(partial(shrink, self._connection), self._shrunk)

    def _shrunk(self, error: Exception | None) -> None:
        if error is not None:
            self._may_shrink = False
            self._logger.warning(
                "%s, so its file stays as large as it is", store_failure(self._file.path, error)
            )

    # --- damage

    def _move_aside(self, damaged: Damaged) -> None:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            totals = move_aside(self._connection, damaged, self._totals)
        except Exception as error:  # noqa: BLE001 - logged
            self._roll_back()
            self._not_moved(error)
        else:
            self._line.beside(self._commit, partial(self._moved, totals))

    def _moved(self, totals: RowTotals, error: Exception | None) -> None:
        if error is None:
            self._totals = totals
        else:
            self._roll_back()
            self._not_moved(error)

    def _not_moved(self, error: Exception) -> None:
        self._logger.error(
            "%s; damaged messages are still among the others", store_failure(self._file.path, error)
        )

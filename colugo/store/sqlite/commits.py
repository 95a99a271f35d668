"""Transactions on a store's file: write, commit, and retry when the disk is full."""

import logging
import time
from dataclasses import dataclass
from functools import partial

from colugo.store.base import CommitOutcome, Committed, Transaction
from colugo.store.sqlite.failure import full_failure, is_full, store_failure
from colugo.store.sqlite.job_queue import JobQueue, Step
from colugo.store.sqlite.reserve import Reserve
from colugo.store.sqlite.row_writer import DamagedRows, Prepared, RowTotals, move_aside, prepare, write
from colugo.store.sqlite.store_file import StoreFile

_RETAKE_S = 1.0


@dataclass(slots=True)
class _Commit:
    prepared: Prepared
    done: Committed
    remedies: list[Step]
    """Steps to try when the disk is full, in order."""


class Commits:
    """Carries out transactions, one at a time.

    Args:
        logger: receives failures that no callback reports.
    """

    def __init__(
        self, file: StoreFile, totals: RowTotals, *, jobs: JobQueue, reserve: Reserve, logger: logging.Logger
    ) -> None:
        self._file = file
        self._connection = file.connection
        self._totals = totals
        self._jobs = jobs
        self._reserve = reserve
        self._logger = logger
        self._retake_at = 0.0
        self._may_shrink = True

    def add(self, transaction: Transaction, done: Committed) -> None:
        """Append a transaction to the queue.

        Raises:
            UnicodeEncodeError: if a key or group has a lone surrogate.
        """
        remedies: list[Step] = [self._file.write_log]
        if not transaction.inserts:
            remedies.append(self._use_reserve)
        commit = _Commit(prepare(transaction), done, remedies)
        self._jobs.add(partial(self._begin, commit))

    def set_aside(self, damaged: DamagedRows) -> None:
        """Move damaged rows to their own table, before any other job."""
        self._jobs.add_next(partial(self._move_aside, damaged))

    def _begin(self, commit: _Commit) -> None:
        if commit.prepared.messages and not self._has_room(commit.prepared.size):
            commit.done(full_failure(self._file.path))
            return
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            totals, outcome = write(self._connection, commit.prepared, self._totals)
        except Exception as error:  # noqa: BLE001 - passed to the callback
            self._failed(commit, error)
        else:
            self._jobs.run_on_disk(self._commit, partial(self._ended, commit, totals, outcome))

    def _ended(
        self, commit: _Commit, totals: RowTotals, outcome: CommitOutcome, error: Exception | None
    ) -> None:
        if error is not None:
            self._failed(commit, error)
            return
        self._totals = totals
        if commit.prepared.transaction.deletes and self._may_shrink:
            self._jobs.add_next(self._shrink)
        commit.done(outcome)

    def _failed(self, commit: _Commit, error: Exception) -> None:
        self._connection.rollback()  # does nothing if SQLite has done so itself
        if is_full(error) and commit.remedies:
            # without regard to its error: the retry shows if it helped
            self._jobs.run_on_disk(commit.remedies.pop(0), lambda _: self._begin(commit))
            return
        commit.done(store_failure(self._file.path, error))

    def _has_room(self, size: int) -> bool:
        """Return True if messages of this many bytes can be stored and later deleted.

        Without a reserve, they must fit into the free pages of the file. If it could not grow at a
        checkpoint, the log would stay full, and deletions could not be written, either.
        """
        now = time.monotonic()
        if self._reserve.held or now >= self._retake_at:
            self._retake_at = now + _RETAKE_S
            if self._reserve.allows(size):
                return True
        return self._file.has_free_pages(size)

    def _use_reserve(self) -> None:
        if self._reserve.held:
            self._logger.warning(
                "%s; until then, it accepts only messages that fit into the file",
                full_failure(self._file.path),
            )
        self._reserve.release()
        # PASSIVE: the log keeps its size and is overwritten from its start
        self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)")

    def _shrink(self) -> None:
        if self._file.is_mostly_empty(self._totals.size):
            self._jobs.run_on_disk(self._file.shrink, self._shrunk)

    def _shrunk(self, error: Exception | None) -> None:
        if error is not None:
            self._may_shrink = False
            self._logger.warning("%s; its file keeps its current size", store_failure(self._file.path, error))

    def _commit(self) -> None:
        # unlike Connection.commit, it fails without a transaction
        self._connection.execute("COMMIT")

    def _move_aside(self, damaged: DamagedRows) -> None:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            totals = move_aside(self._connection, damaged, self._totals)
        except Exception as error:  # noqa: BLE001 - logged
            self._moved(self._totals, error)
        else:
            self._jobs.run_on_disk(self._commit, partial(self._moved, totals))

    def _moved(self, totals: RowTotals, error: Exception | None) -> None:
        if error is None:
            self._totals = totals
            return
        self._connection.rollback()
        self._logger.error("%s; damaged messages were not set aside", store_failure(self._file.path, error))

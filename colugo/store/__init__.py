"""The storage of streams: the `Store` interface, and the data that stores take and return.

The implementations are in `colugo.store.memory_store` and `colugo.store.sqlite.sqlite_store`.
"""

from colugo.store.base import (
    CommitOutcome,
    Committed,
    DeadQuery,
    GroupRecord,
    OpenedStore,
    Read,
    ReadDead,
    Store,
    StoredDeadLetter,
    Transaction,
    Trim,
    size_of,
    size_of_all,
)

__all__ = [
    "CommitOutcome",
    "Committed",
    "DeadQuery",
    "GroupRecord",
    "OpenedStore",
    "Read",
    "ReadDead",
    "Store",
    "StoredDeadLetter",
    "Transaction",
    "Trim",
    "size_of",
    "size_of_all",
]

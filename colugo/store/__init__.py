"""Where a stream keeps its messages: the store, and what goes in and out of it.

The two that there are have modules of their own, `memory` and `sqlite`.
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

"""Commits messages to a store as fast as it can, and prints each number when it is confirmed.

Arguments: the file, how many messages, and `random` for transactions of random sizes that delete, too, or
`growing` for such that leave a tenth of all messages.
"""

import asyncio
import logging
import os
import random
import sys
from functools import partial

from colugo.errors import StoreError
from colugo.store import CommitOutcome, GroupRecord, Transaction
from colugo.store.sqlite.sqlite_store import SqliteStore
from tests.support.storing import message

SIZES = (1, 3, 50, 700)
"""How many messages a transaction inserts, at random."""


def tell(text: str) -> None:
    """In one write, which a trace shows."""
    os.write(1, f"{text}\n".encode())


def marked(seq: int) -> bytes:
    """A payload that is found in a trace."""
    return f"<{seq:07}>".encode() + b"." * 100


def confirmed(
    ended: asyncio.Future[None], last: int, deleted: int, result: CommitOutcome | StoreError
) -> None:
    if isinstance(result, StoreError):
        tell(f"StoreError: {result}")
        raise result
    tell(f"done {last} {deleted}")
    ended.set_result(None)


async def main(path: str, count: int, *, is_random: bool, kept: float) -> None:
    store = SqliteStore(path, logger=logging.getLogger("writer"))
    try:
        opened = store.open()
    except StoreError as error:
        tell(f"StoreError: {error}")
        return
    seq = opened.last_seq
    tell(f"open {seq}")
    deleted = seq - opened.count
    end = seq + count
    while seq < end:
        number = random.choice(SIZES) if is_random else 1
        inserts = [message(seq + one, marked(seq + one)) for one in range(1, number + 1)]
        seq += number
        transaction = Transaction(inserts=inserts, groups={"g": GroupRecord("g", offered=seq)})
        if is_random and seq - deleted > 1000 + kept * seq:
            transaction.deletes.append((deleted + 1, deleted + 500))
            deleted += 500
        ended = asyncio.get_running_loop().create_future()
        store.commit(transaction, partial(confirmed, ended, seq, deleted))
        await ended
    await store.aclose()
    tell("closed")


if __name__ == "__main__":
    how = "".join(sys.argv[3:])
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), is_random=bool(how), kept=0.1 * (how == "growing")))

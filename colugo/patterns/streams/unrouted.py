"""The return of messages that no known group wants, after a grace in which groups become known."""

import asyncio
from collections.abc import Callable
from functools import partial

from colugo.errors import StoreError
from colugo.patterns.streams.retention import Retention
from colugo.patterns.streams.transaction_writer import TransactionWriter
from colugo.protocol.streams.ranges import to_ranges
from colugo.protocol.streams.stream_message import StreamMessage
from colugo.store import Store

_PAGE = 1024
_PAGE_BYTES = 4 * 1024 * 1024
_RETRY_S = 1.0


class UnroutedMessages:
    """Returns the messages of a stream that no known group wants.

    Until the grace ends, the stream deletes nothing, so that groups that become known meanwhile get all
    messages. At its end, all kept messages are examined; from then on, each one when it has been written. A
    message is deleted after its return: if the program is killed in between, it is returned once more.

    Args:
        grace_s: seconds from `open` to the end of the grace.
        on_unrouted: called with each message that is returned.
    """

    def __init__(
        self,
        store: Store,
        writer: TransactionWriter,
        retention: Retention,
        *,
        grace_s: float,
        on_unrouted: Callable[[StreamMessage], None],
    ) -> None:
        self._store = store
        self._writer = writer
        self._retention = retention
        self._grace_s = grace_s
        self._on_unrouted = on_unrouted
        self._over = self._closed = False
        self._timer: asyncio.TimerHandle | None = None
        retention.defer_deletion()

    def open(self) -> None:
        """Start the grace, on the loop."""
        self._after(self._grace_s, self._end_grace)

    def close(self) -> None:
        """Return no more; what has not been examined stays in the store."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        self._retention.delete_deferred()

    def on_inserted(self, messages: list[StreamMessage]) -> None:
        """Return those of the messages just written that no group wants, once the grace is over."""
        if self._over:
            self._discard(self._retention.unwanted(messages))

    def _end_grace(self) -> None:
        self._over = True
        self._examine(0, self._writer.committed)

    def _examine(self, after: int, until: int) -> None:
        self._store.read(after, _PAGE, _PAGE_BYTES, partial(self._on_read, after, until))

    def _on_read(self, after: int, until: int, result: list[StreamMessage] | StoreError) -> None:
        if self._closed:
            return
        if isinstance(result, StoreError):
            self._after(_RETRY_S, partial(self._examine, after, until))
            return
        self._discard(self._retention.unwanted([one for one in result if one.seq <= until]))
        more = bool(result) and result[-1].seq < until
        self._after(0, partial(self._examine, result[-1].seq, until) if more else self._end_deferral)

    def _end_deferral(self) -> None:
        self._retention.delete_deferred()
        self._retention.sweep()

    def _discard(self, messages: list[StreamMessage]) -> None:
        """Settle messages for all groups now, and return them in the next turn of the loop."""
        if messages:
            self._retention.discard_unrouted([message.seq for message in messages])
            asyncio.get_running_loop().call_soon(self._return, messages)

    def _return(self, messages: list[StreamMessage]) -> None:
        if self._closed:
            return
        for message in messages:
            self._on_unrouted(message)
        self._writer.delete(to_ranges(message.seq for message in messages))
        self._writer.request_write()

    def _after(self, delay_s: float, action: Callable[[], None]) -> None:
        self._timer = asyncio.get_running_loop().call_later(delay_s, action)

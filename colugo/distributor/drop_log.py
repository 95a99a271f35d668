"""The count of messages dropped by a full queue, and its two log lines."""

import logging

_LOGGER = logging.getLogger(__name__)


class DropLog:
    """Counts drops, and logs when they begin and, with their number, when they end.

    Args:
        owner: the name of the queue's owner, for the log.
        limit: messages that the queue holds.
    """

    def __init__(self, owner: str, limit: int) -> None:
        self._owner = owner
        self._limit = limit
        self._before = 0
        self._dropping = False
        self.dropped = 0
        """Messages dropped so far."""

    def drop(self) -> None:
        """Count one message."""
        self.dropped += 1
        if not self._dropping:
            self._dropping = True
            _LOGGER.warning("%s: the queue of %d is full, messages are dropped", self._owner, self._limit)

    def check(self, queued: int) -> None:
        """Note that so many messages wait: drops have ended when the queue is half empty."""
        if self._dropping and queued <= self._limit // 2:
            self.end()

    def end(self) -> None:
        """Log the number of messages dropped since the drops began."""
        if self._dropping:
            self._dropping = False
            dropped, self._before = self.dropped - self._before, self.dropped
            _LOGGER.warning("%s: %d messages were dropped; there is room again", self._owner, dropped)

"""Warnings about one source or target, few of each kind."""

import logging
import time
from collections.abc import Hashable

from colugo.protocol.throttle import Throttle

_LOGGER = logging.getLogger(__name__)


class EndpointLog:
    """Warnings that begin with an owner, such as `target archive`; one of a subject in each period."""

    def __init__(self, owner: str, period_s: float = 60.0) -> None:
        self._owner = owner
        self._throttle = Throttle(period_s)

    def warn(self, subject: Hashable, text: str, *values: object, error: BaseException | None = None) -> None:
        """Log a warning, with its values for `%s`, unless one of its subject was logged just before."""
        if (note := self._throttle.note(subject, time.monotonic())) is not None:
            _LOGGER.warning("%s: %s%s", self._owner, text % values, note, exc_info=error)

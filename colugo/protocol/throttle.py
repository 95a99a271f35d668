"""At most one log line a period for each subject. Pure: `now` is passed in."""

from collections.abc import Hashable

_MAX_SUBJECTS = 1024


class Throttle:
    """Lets each subject through once a period, and tells how many were held back since.

    Args:
        period_s: seconds of any monotonic clock.
    """

    def __init__(self, period_s: float) -> None:
        self._period_s = period_s
        self._subjects: dict[Hashable, tuple[float, int]] = {}

    def admit(self, subject: Hashable, now: float) -> int | None:
        """Return how many were held back before this one, or None if this one is held back too."""
        last, held = self._subjects.get(subject, (None, 0))
        if last is not None and now - last < self._period_s:
            self._subjects[subject] = (last, held + 1)
            return None
        self._subjects.pop(subject, None)
        if len(self._subjects) >= _MAX_SUBJECTS:  # the oldest one: subjects may be strangers' names
            del self._subjects[next(iter(self._subjects))]
        self._subjects[subject] = (now, 0)
        return held

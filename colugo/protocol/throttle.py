"""A throttle of log lines: at most one per period for each subject."""

from collections.abc import Hashable

_MAX_SUBJECTS = 1024


class Throttle:
    """Admits each subject once per period, and counts the suppressed ones in between.

    Args:
        period_s: the period, seconds of any monotonic clock.
    """

    def __init__(self, period_s: float = 60.0) -> None:
        self._period_s = period_s
        self._subjects: dict[Hashable, tuple[float, int]] = {}

    def admit(self, subject: Hashable, now: float) -> int | None:
        """Return the number suppressed since the last admission, or None to suppress this one too."""
        last, suppressed = self._subjects.get(subject, (None, 0))
        if last is not None and now - last < self._period_s:
            self._subjects[subject] = (last, suppressed + 1)
            return None
        self._subjects.pop(subject, None)
        if len(self._subjects) >= _MAX_SUBJECTS:  # drop the oldest: untrusted peers may choose the subjects
            del self._subjects[next(iter(self._subjects))]
        self._subjects[subject] = (now, 0)
        return suppressed

    def note(self, subject: Hashable, now: float) -> str | None:
        """Return the end of a log line, which counts those suppressed, or None to suppress it too."""
        suppressed = self.admit(subject, now)
        if not suppressed:
            return None if suppressed is None else ""
        return f" ({suppressed} more like it in the last minute)"

"""Which messages have been there not long ago."""


class Recent:
    """The ids of the last messages, so that one that comes again is known.

    Args:
        most: how many are remembered.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._ids: dict[bytes, None] = {}

    def __contains__(self, one: bytes) -> bool:
        return one in self._ids

    def __len__(self) -> int:
        return len(self._ids)

    def add(self, one: bytes) -> None:
        """Remember it; the oldest is forgotten."""
        self._ids[one] = None
        if len(self._ids) > self._most:
            del self._ids[next(iter(self._ids))]

"""What was sent before the start."""

from typing import Any, NamedTuple

from colugo.errors import FlowError

_MOST = 100_000


class Sending(NamedTuple):
    """What `send_request` was given, with the bytes of it for the network."""

    topic: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    ttl: float
    sealed: bytes | None


class EarlyRequests(list[Sending]):
    """Those that wait for the start, in their order."""

    def add(self, *sending: Any) -> None:
        """Keep one.

        Raises:
            FlowError: if there are too many.
        """
        if len(self) >= _MOST:
            raise FlowError(f"{_MOST} requests wait for start() of the dispatcher already")
        self.append(Sending(*sending))

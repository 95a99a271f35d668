"""The client and the server of one library, and rounds of requests between them."""

from contextlib import ExitStack

from tools.bench.libraries import broker
from tools.bench.peers.network import Network
from tools.bench.processes import Child, NoAnswerError
from tools.bench.rounds import RoundFailedError

_ROLES = "tools.bench.message_roles"
_START_S = 30.0
_ROUND_S = 60.0
_NS = 1e9
_TRIAL = 500
_TRIAL_S = 0.1


class Asking:
    """Two processes that know each other, and are idle between rounds.

    Args:
        library: what they use.
        network: where they meet.

    Raises:
        NoAnswerError: if they do not come up, or do not find each other.
    """

    def __init__(self, library: str, network: Network) -> None:
        self._counts: dict[int, int] = {}
        with ExitStack() as stack:
            stack.enter_context(broker(library, network))
            server = stack.enter_context(Child(_ROLES, "serve", library, str(network)))
            server.expect("ready", within=_START_S)
            self._client = stack.enter_context(Child(_ROLES, "ask", library, str(network)))
            self._client.expect("ready", within=_START_S)
            self._children = stack.pop_all()

    def round_trips(self, size: int, count: int) -> tuple[float, float]:
        """Ask one request after another.

        Returns:
            The median and the 99th percentile of the times, in microseconds.

        Raises:
            RoundFailedError: if one was not answered.
        """
        p50, p99 = self._ask(f"trips {size} {count}", "trips", count)
        return p50 / 1e3, p99 / 1e3

    def calibrate(self, size: int, in_flight: int, seconds: float) -> None:
        """Find out how many requests take so long; that many is what `rate` asks from then on."""
        count = _TRIAL
        for trial_s in (min(_TRIAL_S, seconds), seconds):
            count = max(in_flight, int(self._rate(size, in_flight, count) * trial_s))
        self._counts[in_flight] = count

    def rate(self, size: int, in_flight: int) -> float:
        """Ask a round of requests.

        Returns:
            Replies per second.

        Raises:
            RoundFailedError: if one was not answered.
        """
        return self._rate(size, in_flight, self._counts[in_flight])

    def close(self) -> None:
        """End the processes."""
        self._children.close()

    def _rate(self, size: int, in_flight: int, count: int) -> float:
        (elapsed,) = self._ask(f"keep {size} {count} {in_flight}", "kept", count)
        return count * _NS / elapsed

    def _ask(self, order: str, answer: str, count: int) -> list[int]:
        try:
            answered, wrong, *figures = map(int, self._client.ask(order, answer, within=_ROUND_S))
        except NoAnswerError as error:
            raise RoundFailedError(str(error)) from error
        if answered != count:
            raise RoundFailedError(f"{count - answered} of {count} requests lost", lost=count - answered)
        if wrong:
            raise RoundFailedError(f"at least {wrong} of {count} replies damaged")
        return figures

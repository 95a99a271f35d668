"""The distributor: from sources to targets."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Iterable
from functools import partial
from typing import Any

from colugo.distributor.base import AbstractDistributionSource, AbstractDistributionTarget
from colugo.distributor.feed import Feed
from colugo.distributor.formatters.formatter import IFormatter
from colugo.distributor.lane import Lane
from colugo.distributor.logging_mixin import LoggingMixin
from colugo.distributor.node_mixin import NodeMixin
from colugo.distributor.routing import Route, fits_name
from colugo.distributor.target_options import TargetOptions, TargetStats
from colugo.errors import ConfigurationError, InvalidDistributionTarget
from colugo.node import Node

DEFAULT_DRAIN_MS = 5000
DEFAULT_QUEUE = 10_000


class Distributor(LoggingMixin):
    """Hands the messages of its sources to its targets.

    Each source and each target has a queue of its own, so that a slow or broken one holds up no other:

    ```python
    distributor = Distributor()
    distributor.add_source(WebSocketSource("wss://alerts.example/feed"))
    distributor.add_target(GraphiteTarget("127.0.0.1", 2003), formatter=GraphiteFormatter())
    distributor.connect()
    await distributor.run()
    ```

    Args:
        node: the node for sources and targets that need one, such as topics. You run it.
        queue: messages of one source that may wait to be distributed.
    """

    def __init__(self, node: Node | None = None, *, queue: int = DEFAULT_QUEUE) -> None:
        super().__init__()
        if queue < 1:
            raise ConfigurationError(f"queue must be an integer ≥ 1, not {queue!r}")
        self.node = node
        self._queue = queue
        self._delay = 0.0
        self._feeds: dict[str, Feed] = {}
        self._lanes: dict[str, Lane] = {}
        self._routes: list[Route] = []
        self._ways: dict[str, list[tuple[Lane, list[Callable[[Any], bool]]]]] = {}
        self._tasks: dict[Feed, asyncio.Task[None]] = {}
        self._running = False
        self._ended = asyncio.Event()

    @property
    def delay(self) -> float:
        """The pause after each message, in seconds.

        Raises:
            ConfigurationError: if it is set to a negative value.
        """
        return self._delay

    @delay.setter
    def delay(self, new_delay: float) -> None:
        if not new_delay >= 0:
            raise ConfigurationError(f"delay must be ≥ 0 seconds, not {new_delay!r}")
        self._delay = new_delay

    @property
    def sources(self) -> dict[str, AbstractDistributionSource]:
        """The sources by name."""
        return {name: feed.source for name, feed in self._feeds.items()}

    @property
    def targets(self) -> dict[str, AbstractDistributionTarget]:
        """The targets by name."""
        return {name: lane.target for name, lane in self._lanes.items()}

    @property
    def received(self) -> dict[str, int]:
        """The number of messages of each source."""
        return {name: feed.received for name, feed in self._feeds.items()}

    @property
    def stats(self) -> dict[str, TargetStats]:
        """The counters of each target."""
        return {name: lane.stats for name, lane in self._lanes.items()}

    def add_source(self, src: AbstractDistributionSource, *, name: str | None = None) -> str:
        """Add a source; `connect` opens it.

        Args:
            src: the source.
            name: a name for routes and logs; None for one made of its class.

        Returns:
            The name.

        Raises:
            TypeError: if it is no source.
            ConfigurationError: if the name is taken.
        """
        if not isinstance(src, AbstractDistributionSource):
            raise TypeError(f"a source must be an AbstractDistributionSource, not {type(src).__name__}")
        feed = Feed(_name(name, src, self._feeds), src, self._queue)
        if isinstance(src, NodeMixin):
            src.attach(self.node)
        src.set_on_message(feed.put)
        self._feeds[feed.name] = feed
        self._ways.clear()
        if self._running:
            self._start(feed)
        self.logger.debug("source %s added", feed.name)
        return feed.name

    def add_target(
        self,
        tgt: AbstractDistributionTarget,
        *,
        name: str | None = None,
        formatter: IFormatter | None = None,
        options: TargetOptions | None = None,
    ) -> str:
        """Add a target; `connect` opens it.

        Args:
            tgt: the target.
            name: a name for routes, logs and counters; None for one made of its class.
            formatter: its formatter; None to keep the one it has.
            options: its queue, workers, timeouts and retries.

        Returns:
            The name.

        Raises:
            InvalidDistributionTarget: if it is no target, or takes no formatter.
            ConfigurationError: if the name is taken.
        """
        if not isinstance(tgt, AbstractDistributionTarget):
            raise InvalidDistributionTarget(
                f"a target must be an AbstractDistributionTarget, not {type(tgt).__name__}"
            )
        self._prepare(tgt, formatter)
        lane = Lane(_name(name, tgt, self._lanes), tgt, options or TargetOptions())
        self._lanes[lane.name] = lane
        self._ways.clear()
        self.logger.debug("target %s added", lane.name)
        return lane.name

    def add_route(self, route: Route) -> None:
        """Add a route. Without routes, all messages reach all targets.

        Args:
            route: the route.
        """
        self._routes.append(route)
        self._ways.clear()

    def connect_sources(self) -> None:
        """Open the sources; an error is logged, and the others are opened all the same."""
        for feed in self._feeds.values():
            feed.open()

    def connect_targets(self) -> None:
        """Open the targets, one after another; an error is logged, and the others are opened all the same."""
        for lane in self._lanes.values():
            try:
                lane.target.open()
            except (Exception, SystemExit):
                self.logger.exception("target %s: open() raised", lane.name)

    def connect(self) -> None:
        """Open the targets, then the sources."""
        self.connect_targets()
        self.connect_sources()

    async def start(self) -> None:
        """Open the targets side by side, then the sources; like `connect`, but holds up no loop."""
        await asyncio.gather(*(lane.open() for lane in self._lanes.values()))
        self.connect_sources()

    async def run(self) -> None:
        """Distribute messages until `shutdown`."""
        self._running = True
        for feed in self._feeds.values():
            self._start(feed)
        try:
            await self._ended.wait()
        finally:
            self._running = False
            self._ended.clear()
            self._stop(self._tasks)

    async def flush(self) -> None:
        """Wait until everything that the sources have given is handed to the targets."""
        await self._flush([*self._feeds.values()])

    async def deliver(self, name: str, message: Any) -> None:
        """Hand a message to one target, and wait until it has sent it.

        Args:
            name: of the target.
            message: the message.

        Raises:
            Exception: if the target could not send it: the exception of `on_error`, a TimeoutError after
                `on_timeout`, and a DistributorException after `on_cancel` or if the queue was full.
        """
        await self._lane(name).deliver_and_wait(message)

    async def shutdown(self, drain_ms: int = DEFAULT_DRAIN_MS) -> dict[str, TargetStats]:
        """Close the sources, hand over what waits, close the targets, and end `run`.

        Args:
            drain_ms: milliseconds for the messages that wait. Those that failed before are tried once more.

        Returns:
            What has become of the messages of each target.
        """
        deadline = time.monotonic() + drain_ms / 1000
        for feed in self._feeds.values():
            feed.close("the distributor stops")
        await self._flush([*self._feeds.values()], drain_ms)
        lanes = dict(self._lanes)
        stats = await asyncio.gather(*(lane.close(deadline) for lane in lanes.values()))
        self._ended.set()
        return dict(zip(lanes, stats, strict=True))

    async def open_target(self, name: str) -> None:
        """Open a target that was added while the distributor runs.

        Args:
            name: of the target.
        """
        await self._lane(name).open()

    def open_source(self, name: str) -> None:
        """Open a source that was added while the distributor runs.

        Args:
            name: of the source.
        """
        if name in self._feeds:
            self._feeds[name].open()

    async def exchange_target(
        self,
        name: str,
        target: AbstractDistributionTarget,
        *,
        formatter: IFormatter | None = None,
        drain_ms: int = DEFAULT_DRAIN_MS,
    ) -> None:
        """Put another target in the place of one; what waits in the queue goes to the new one.

        Args:
            name: of the target.
            target: the new one; opened after the old one is closed.
            formatter: the formatter of the new one; None to keep the one it has.
            drain_ms: milliseconds that the old one has for the messages that it is sending.
        """
        self._prepare(target, formatter)
        await self._lane(name).exchange(target, drain_ms / 1000)

    async def remove_target(self, name: str, *, drain_ms: int = DEFAULT_DRAIN_MS) -> TargetStats:
        """Send what waits, close a target and forget it.

        Args:
            name: of the target.
            drain_ms: milliseconds for the messages that wait.
        """
        lane = self._lane(name)
        del self._lanes[name]
        self._ways.clear()
        return await lane.close(time.monotonic() + drain_ms / 1000)

    async def remove_source(self, name: str, *, drain_ms: int = DEFAULT_DRAIN_MS) -> None:
        """Close a source, distribute what it has given, and forget it.

        Args:
            name: of the source.
            drain_ms: milliseconds for the messages that wait, also for a target with `full="wait"`.
        """
        if (feed := self._feeds.get(name)) is not None:
            feed.close("the source is removed")
            await self._flush([feed], drain_ms)
            self._stop([feed])
            self._feeds.pop(name, None)
            self._ways.clear()

    def _start(self, feed: Feed) -> bool:
        """Start to distribute what a source gives; return False if that has been started."""
        if feed in self._tasks:
            return False
        self._tasks[feed] = asyncio.get_running_loop().create_task(
            feed.run(partial(self._distribute, feed.name), lambda: self._delay), name=f"feed {feed.name}"
        )
        return True

    def _stop(self, feeds: Iterable[Feed]) -> None:
        for feed in tuple(feeds):
            if (task := self._tasks.pop(feed, None)) is not None:
                task.cancel()

    async def _flush(self, feeds: list[Feed], drain_ms: int | None = None) -> None:
        """Wait until everything is distributed, or log what is not in time."""
        started = [feed for feed in feeds if self._start(feed)]
        try:
            async with asyncio.timeout(None if drain_ms is None else drain_ms / 1000):
                await asyncio.gather(*(feed.flush() for feed in feeds))
        except TimeoutError:
            for feed in feeds:
                if len(feed):
                    self.logger.warning("source %s: %d messages were not distributed", feed.name, len(feed))
        finally:
            if not self._running:
                self._stop(started)

    def _distribute(self, source: str, message: Any) -> Awaitable[None] | None:
        """Hand one message to its targets; what it returns has to be awaited."""
        ways = self._ways.get(source)
        if ways is None:
            ways = self._ways[source] = self._find_ways(source)
        waits: list[Awaitable[Any]] | None = None
        for lane, conditions in ways:
            if conditions and not any(fits(message) for fits in conditions):
                continue
            room = lane.deliver(message)
            if room is not None:
                waits = [*(waits or ()), room]
        return None if waits is None else _wait_for_all(waits)

    def _find_ways(self, source: str) -> list[tuple[Lane, list[Callable[[Any], bool]]]]:
        """Return the lanes of a source, each with conditions of which one has to fit; none for always."""
        if not self._routes:
            return [(lane, []) for lane in self._lanes.values()]
        routes = [route for route in self._routes if fits_name(source, route.sources)]
        ways: list[tuple[Lane, list[Callable[[Any], bool]]]] = []
        for lane in self._lanes.values():
            conditions = [route.condition() for route in routes if fits_name(lane.name, route.targets)]
            if conditions:
                certain = None in conditions
                ways.append((lane, [] if certain else [one for one in conditions if one is not None]))
        return ways

    def _prepare(self, target: AbstractDistributionTarget, formatter: IFormatter | None) -> None:
        if isinstance(target, NodeMixin):
            target.attach(self.node)
        if formatter is not None:
            if not hasattr(type(target), "formatter"):
                raise InvalidDistributionTarget(f"{type(target).__name__} has no formatter")
            target.formatter = formatter  # type: ignore[attr-defined]

    def _lane(self, name: str) -> Lane:
        if name not in self._lanes:
            raise ConfigurationError(f"the distributor has no target {name!r}")
        return self._lanes[name]


def _name(name: str | None, endpoint: object, taken: Collection[str]) -> str:
    if name is not None:
        if name in taken:
            raise ConfigurationError(f"the distributor has a source or target {name!r} already")
        return name
    base, number = type(endpoint).__name__, 1
    while (found := base if number == 1 else f"{base} {number}") in taken:
        number += 1
    return found


async def _wait_for_all(waits: list[Awaitable[Any]]) -> None:
    for one in waits:
        await one

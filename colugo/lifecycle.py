"""The life of a node: start, stop, and the work tied to it."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AbstractContextManager
from functools import partial
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from tornado.ioloop import IOLoop

from colugo.config import NodeConfig
from colugo.errors import ClosedError, ColugoError, ConfigurationError, LifecycleError
from colugo.net.loop_runner import ThreadRunner, run_on
from colugo.net.runtime import Closable, Runtime
from colugo.net.transport.tasks import Tasks

A = ParamSpec("A")
P = TypeVar("P", bound=Closable)
T = TypeVar("T")


class Lifecycle:
    """The base of `Node`: starts, stops, and closes its parts."""

    def __init__(self, name: str, config: NodeConfig) -> None:
        self._config = config
        self._runtime = config.runtime(name)
        self._own_loop: IOLoop | None = None
        self._started = False
        self._stopping = False
        self._closing: asyncio.Task[None] | None = None
        self._request_stop: Callable[[], object] | None = None
        self._unstarted: list[tuple[Coroutine[Any, Any, Any], str]] = []
        self._spawned = Tasks(name, self._runtime.logger)
        self._lock = threading.RLock()  # a signal handler may call stop() inside stop()

    @property
    def loop(self) -> IOLoop:
        """The node's Tornado loop; before the start, the one that `start()` will run.

        Raises:
            ClosedError: after the node has stopped.
        """
        if self._runtime.running or self._stopping:
            return self._runtime.loop
        return self._loop_of_its_own()

    @property
    def is_running(self) -> bool:
        """True from the start of the node until it is closed."""
        return self._runtime.running

    @property
    def closed(self) -> bool:
        """True once the node has stopped and closed its sockets."""
        return self._runtime.closed

    def on_own_thread(self) -> bool:
        """Return True on the node's thread: its loop's, or before the start the one that made the node."""
        return self._runtime.on_own_thread()

    def submit(self, function: Callable[..., object], *args: Any) -> None:
        """Call a function on the node's thread, where its sockets may be used; from any thread.

        On the node's own thread the call is made at once. From another thread it returns immediately, and
        the calls are made in order; the loop logs what they raise. If the node does not run yet, they wait
        for its start.

        Args:
            function: the function.
            *args: its arguments.

        Raises:
            ClosedError: after the node has stopped.
        """
        self._runtime.submit(function, *args)

    def spawn(self, coroutine: Coroutine[Any, Any, Any], *, name: str) -> None:
        """Run a coroutine as a task that lives as long as the node; from any thread.

        The task begins when the node opens, or at once if the node runs. When the node closes, it cancels the
        task and waits for its end, two seconds at most, before it closes its sockets. An exception is logged
        with its traceback and counted in `callback_errors`; the node keeps running.

        Args:
            coroutine: such as `self.poll()`.
            name: the task's name, for the log.

        Raises:
            ConfigurationError: if it is not a coroutine.
            ClosedError: after `stop()`; the coroutine is closed.
        """
        if not asyncio.iscoroutine(coroutine):
            raise ConfigurationError(f"spawn() takes a coroutine, such as work(), not {coroutine!r}")
        with self._lock:
            if self._stopping:
                coroutine.close()
                raise ClosedError(f"the node {self._runtime.name!r} has been stopped")
            self._unstarted.append((coroutine, name))
        if self._runtime.running:
            self._runtime.submit(self._begin_spawned)

    def _loop_of_its_own(self) -> IOLoop:
        if self._own_loop is None:
            self._own_loop = IOLoop(make_current=False)
        return self._own_loop

    def start(self) -> None:
        """Run until `stop()`, SIGINT or SIGTERM; block, and return when everything is closed.

        Raises:
            LifecycleError: if the node was started before, or inside a running loop.
        """
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            pass
        else:
            raise LifecycleError("start() blocks; inside a running loop use: async with Node(…) as node")
        self._begin()
        run_on(self._loop_of_its_own(), partial(self._main, lambda: None), self.stop)

    def running(self) -> AbstractContextManager[Self]:
        """Run the node on its own thread for the length of a `with` block, which gets the node.

        Raises:
            LifecycleError: if the node was started before.
        """
        self._begin()
        return ThreadRunner(
            self, name=self._runtime.name, loop=self._loop_of_its_own(), main=self._main, stop=self.stop
        )

    def stop(self) -> None:
        """Stop: withdraw the sockets, flush for half a second at most, close everything.

        May be called from anywhere (a callback, another thread, a signal handler), more than once, and
        before the start. It does not wait for the end; `start()` returns then.
        """
        with self._lock:
            self._stopping = True
            if self._started:
                if self._request_stop is not None:
                    self._request_stop()
                return
            self._started = True
        self._discard_unstarted()
        self._close_parts()
        self._runtime.sockets.close()
        if self._own_loop is not None:
            self._own_loop.close()

    async def aclose(self) -> None:
        """Stop, and return when everything is closed; on the node's loop."""
        self.stop()
        await self.wait_closed()

    async def wait_closed(self) -> None:
        """Return when the node has been stopped and everything is closed; on the node's loop."""
        if self._closing is not None:
            await asyncio.shield(self._closing)

    def run(self, awaitable: Awaitable[T], timeout_ms: float | None = None) -> T:
        """Await something on the node's loop from another thread and return its result.

        Args:
            awaitable: such as `publisher.ready()` or `client.request("x")`.
            timeout_ms: milliseconds to wait; None for no limit.

        Raises:
            LifecycleError: on the node's own thread, which would wait for itself.
            ClosedError: if the node does not run.
            TimeoutError: when the time is up.
        """
        coroutine = _as_coroutine(awaitable)
        try:
            loop: asyncio.AbstractEventLoop = self._runtime.loop.asyncio_loop  # type: ignore[attr-defined]
            if self._runtime.on_own_thread():
                raise LifecycleError("run() is for other threads; on the node's own, await the coroutine")
        except ColugoError:
            coroutine.close()
            raise
        future = asyncio.run_coroutine_threadsafe(coroutine, loop)
        try:
            return future.result(None if timeout_ms is None else timeout_ms / 1000)
        except BaseException:
            future.cancel()  # else it would keep running, and take the next message
            raise

    async def __aenter__(self) -> Self:
        self._begin()
        if self._own_loop is not None:  # `node.loop` was used before
            self._own_loop.close()
            self._own_loop = None
        await self._open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def _begin(self) -> None:
        with self._lock:
            if self._stopping:
                raise ClosedError(f"the node {self._runtime.name!r} has been stopped; make a new one")
            if self._started:
                raise LifecycleError(f"the node {self._runtime.name!r} has been started already")
            self._started = True

    async def _main(self, on_open: Callable[[], None]) -> None:
        await self._open()
        on_open()
        await self.wait_closed()

    async def _open(self) -> None:
        loop = asyncio.get_running_loop()
        requested, opened = asyncio.Event(), asyncio.Event()
        with self._lock:
            self._request_stop = partial(loop.call_soon_threadsafe, requested.set)
            if self._stopping:  # since _begin
                requested.set()
        self._closing = loop.create_task(
            self._close(requested, opened), name=f"colugo {self._runtime.name} close"
        )
        try:
            self._runtime.announce()
            await self._runtime.open(self._config.make_directory(self._runtime))
            self._begin_spawned()
        except BaseException:
            opened.set()
            await self.aclose()
            raise
        opened.set()

    async def _close(self, requested: asyncio.Event, opened: asyncio.Event) -> None:
        try:
            await requested.wait()
            await opened.wait()  # if stopped while the directory opens
        finally:
            with self._lock:
                self._stopping = True
                self._request_stop = None
            self._discard_unstarted()
            try:
                await self._spawned.cancel()
                parts = list(self._runtime.parts)
                for part in parts:
                    part.quiesce()
                finishing = (part.finish() for part in parts)
                await asyncio.gather(self._runtime.close_directory(), *finishing)
            finally:
                self._close_parts()
                await self._runtime.close()

    def _begin_spawned(self) -> None:
        with self._lock:
            waiting, self._unstarted = self._unstarted, []
        for coroutine, name in waiting:
            task = asyncio.get_running_loop().create_task(coroutine)
            self._spawned.keep(task, name, self._on_spawned_end)

    def _on_spawned_end(self, task: asyncio.Task[Any]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._runtime.count_callback_error()
            self._runtime.logger.error("%s failed", task.get_name(), exc_info=error)

    def _discard_unstarted(self) -> None:
        """Close the coroutines that were not begun; `spawn` takes no more once `_stopping` is set."""
        with self._lock:
            waiting, self._unstarted = self._unstarted, []
        for coroutine, name in waiting:
            try:
                coroutine.close()
            except Exception:  # of one that had been started before it was spawned
                self._runtime.logger.exception("%s failed to close", name)

    def _close_parts(self) -> None:
        for part in reversed(list(self._runtime.parts)):
            try:
                part.close_now()
            except Exception:
                self._runtime.logger.exception("%r failed to close", part)
        self._runtime.closed = True

    def _adopt(self, make: Callable[Concatenate[Runtime, A], P], *args: A.args, **options: A.kwargs) -> P:
        """Make a part on the node's thread, and close it with the node."""
        if self._runtime.running and not self._runtime.on_own_thread():

            async def on_loop() -> P:
                return self._adopt(make, *args, **options)

            return self.run(on_loop())
        if self._runtime.closed:  # not `_stopping`: callbacks run until the parts are closed
            raise ClosedError(f"the node {self._runtime.name!r} has been stopped")
        part = make(self._runtime, *args, **options)
        self._runtime.parts[part] = None
        return part


def _as_coroutine(awaitable: Awaitable[T]) -> Coroutine[Any, Any, T]:
    async def wait() -> T:
        return await awaitable

    return awaitable if asyncio.iscoroutine(awaitable) else wait()

"""The resources that the sockets of one node share: loop, identity, ZeroMQ context, tasks, directory."""

import asyncio
import logging
import threading
import uuid
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from tornado.ioloop import IOLoop

from colugo.errors import ClosedError
from colugo.net.addresses.endpoint_choice import EndpointChoice
from colugo.net.addresses.interfaces import Scope, host_addresses
from colugo.net.addresses.ipc import IpcFiles
from colugo.net.addresses.scope_watch import ScopeWatch
from colugo.net.binding import ScopeListener
from colugo.net.directory import Directory, DirectoryStatus
from colugo.net.node_endpoint import NodeEndpoint
from colugo.net.registry import Registry, Watch
from colugo.net.transport.host import host_id
from colugo.net.transport.port_choice import PortChoice
from colugo.net.transport.sockets import Sockets
from colugo.net.transport.tasks import Tasks
from colugo.protocol.advertisement import Advertisement


class Closable(Protocol):
    """A part that is closed with its node."""

    def describe(self) -> object:
        """Return its part of the node's description; None if it is no socket."""

    def quiesce(self) -> None:
        """Begin nothing new, because the node is about to close."""

    async def finish(self) -> None:
        """Finish pending work before it is closed, within a short time."""

    def close_now(self) -> None:
        """Close, on the node's thread; a second time is a no-op."""


class Runtime:
    """The resources that the sockets of one node share.

    Before the node runs, the thread that built it may use its sockets; afterwards, only the loop's thread
    may, and other threads submit their calls to it.

    Args:
        sockets: the node's ZeroMQ context, which the runtime closes.
        ipc: True to use Unix sockets between nodes of one host.
        runtime_dir: the folder for these (see `IpcFiles`).
        port: the port of the node's own endpoint.
        discovery_note: the means of discovery, if mDNS is not the only one; for the log.
    """

    def __init__(
        self,
        name: str,
        *,
        realm: str,
        scope: Scope,
        sockets: Sockets,
        ipc: bool,
        runtime_dir: Path,
        port: PortChoice,
        discovery_note: str,
    ) -> None:
        self.name = name
        self.realm = realm
        self.scope = scope
        self.host_id = host_id()
        self.uuid = uuid.uuid4()
        self.logger = logging.getLogger(name)
        self.sockets = sockets
        self.ipc = IpcFiles(enabled=ipc, base=runtime_dir, logger=self.logger)
        self._tasks = Tasks(name, self.logger)
        self.endpoint = NodeEndpoint(self.sockets, port, self.logger, self._tasks)
        identity = {"name": name, "id": self.uuid.hex, "realm": realm, "host_id": self.host_id}
        self.endpoint.questions.serve("node", lambda _: identity)
        self.registry = Registry(realm)
        self.callback_errors = 0
        self._count_lock = threading.Lock()
        self.closed = False
        self._discovery_note = discovery_note
        self.parts: dict[Closable, None] = {}
        """The parts that are closed with the node, in the order of their making."""
        self._scope_listeners: dict[ScopeListener, None] = {}
        self.gone: list[str] = []
        """The addresses that the host has lost in the last change of the scope."""
        self.owner = threading.get_ident()
        """The thread that may touch the sockets."""
        self._loop: IOLoop | None = None
        self._directory: Directory | None = None
        self._scope_watch: ScopeWatch | None = None
        self._advertised: dict[bytes, Advertisement] = {}
        self._on_open: list[Callable[[], object]] = []
        self.endpoint_choice = EndpointChoice(self.host_id, self.ipc, self._tasks)

    @property
    def running(self) -> bool:
        """True from the start of the node until it is closed."""
        return self._loop is not None

    @property
    def loop(self) -> IOLoop:
        """The running loop.

        Raises:
            ClosedError: if the node does not run.
        """
        if self._loop is None:
            raise ClosedError(f"the node {self.name!r} does not run")
        return self._loop

    def on_own_thread(self) -> bool:
        """Return True on the thread that may touch the sockets."""
        return threading.get_ident() == self.owner

    async def open(self, directory: Directory) -> None:
        """Attach to the running loop; from here on, only this thread may touch sockets."""
        self._loop = IOLoop.current()
        self.owner = threading.get_ident()
        self._directory = directory
        self._scope_watch = ScopeWatch.of(self.scope)
        self._scope_watch.follow(self._on_scope)
        self._scope_watch.check()
        if self._scope_watch.scope != self.scope:  # changed since the node was made
            self._on_scope(self._scope_watch.scope)
        self.endpoint.open(self)
        self.ipc.open(self._loop)
        waiting, self._on_open = self._on_open, []
        for action in waiting:
            action()
        await directory.open(self.registry.on_event)
        self.endpoint.listen()  # after the directory is open, which handles greetings of other nodes
        for advertisement in list(self._advertised.values()):
            directory.advertise(advertisement)

    def when_open(self, action: Callable[[], None]) -> None:
        """Call a function now if the loop runs, else as soon as it does."""
        if self._loop is not None:
            action()
        else:
            self._on_open.append(action)

    def submit(self, action: Callable[..., object], *args: Any) -> None:
        """Call a function on the node's thread: at once if this is it, else from the loop.

        Raises:
            ClosedError: after the node has stopped.
        """
        if self.closed:
            raise ClosedError(f"the node {self.name!r} has been stopped")
        if threading.get_ident() == self.owner:
            action(*args)
        elif self._loop is not None:
            self._loop.add_callback(action, *args)
        else:
            self._on_open.append(lambda: action(*args))

    def count_callback_error(self) -> None:
        """Count a callback that has raised, on any thread."""
        with self._count_lock:
            self.callback_errors += 1

    def spawn(self, coroutine: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
        """Run a coroutine as a named task that ends with the node; its failure is logged."""
        return self._tasks.spawn(coroutine, name)

    def advertise(self, advertisement: Advertisement) -> None:
        """Advertise a socket, from the start of the node on; call it again after a change."""
        self._advertised[advertisement.socket_id] = advertisement
        if self._loop is not None and self._directory is not None:
            self._directory.advertise(advertisement)

    def withdraw(self, advertisement: Advertisement) -> None:
        """Withdraw an advertisement."""
        self._advertised.pop(advertisement.socket_id, None)
        if self._loop is not None and self._directory is not None:
            self._directory.withdraw(advertisement)

    def suspect(self, advertisement: Advertisement) -> None:
        """Let the directory verify an advertisement whose socket does not answer."""
        if self._directory is not None:
            self._directory.suspect(advertisement)

    @property
    def directory_status(self) -> DirectoryStatus:
        """The state of the directory."""
        return DirectoryStatus() if self._directory is None else self._directory.status

    def vouch(self, advertisement: Advertisement) -> None:
        """Let the directory restore a lost advertisement whose socket answers again."""
        if self._directory is not None:
            self._directory.vouch(advertisement)

    def watch(self, watch: Watch) -> None:
        """Begin a watch, when the node runs."""
        self.when_open(lambda: self.registry.watch(watch))

    def announce(self) -> None:
        """Log the node's scope and realm, and the networks that can reach it."""
        note = "".join(f"; {one}" for one in (self.scope.note, self._discovery_note) if one)
        reach = "this host" if self.scope.host_only else "everyone on that network"
        self.logger.info("scope %s, realm %s, open to %s%s", self.scope, self.realm, reach, note)

    def add_scope_listener(self, listener: ScopeListener) -> None:
        """Call a listener when the scope has other addresses."""
        self._scope_listeners[listener] = None

    def remove_scope_listener(self, listener: ScopeListener) -> None:
        """Call a listener no more; a second time is a no-op."""
        self._scope_listeners.pop(listener, None)

    def _on_scope(self, scope: Scope) -> None:
        present = host_addresses()
        self.gone = [address for address in self.scope.addresses if address not in present]
        self.scope = scope
        for listener in list(self._scope_listeners):
            if listener in self._scope_listeners:  # not removed by another listener meanwhile
                listener.on_scope_change(scope)

    async def close_directory(self) -> None:
        """Withdraw all advertisements, and close the directory."""
        if self._scope_watch is not None:
            self._scope_watch.leave(self._on_scope)
            self._scope_watch = None
        if self._directory is not None:
            await self._directory.close()

    async def close(self) -> None:
        """Cancel tasks, and end the ZeroMQ context; the sockets must be closed already."""
        self.ipc.close()
        self.endpoint.close()
        await self._tasks.cancel()
        loop = asyncio.get_running_loop()
        ended = loop.create_future()

        def end() -> None:
            self.sockets.close()
            with suppress(RuntimeError):  # the loop has been closed meanwhile
                loop.call_soon_threadsafe(ended.set_result, None)

        # ZeroMQ's term blocks while messages leave; the default executor would leave a thread behind
        thread = threading.Thread(target=end, name=f"colugo {self.name} linger", daemon=True)
        thread.start()
        await asyncio.shield(ended)
        thread.join()
        self._loop = None

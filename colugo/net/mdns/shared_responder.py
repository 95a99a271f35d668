"""The mDNS responder, browser and cache that the nodes of one loop and scope share."""

import asyncio
import logging
import random
import weakref
from typing import ClassVar

from zeroconf import DNSIncoming, NotRunningException, ServiceStateChange, Zeroconf
from zeroconf.asyncio import AsyncServiceBrowser, AsyncServiceInfo, AsyncZeroconf

from colugo.errors import AdvertisementError
from colugo.net.addresses.interfaces import Scope
from colugo.net.addresses.scope_watch import ScopeWatch
from colugo.net.directory import DirectoryChange, DirectoryEvent, InOrder, Listener
from colugo.net.mdns.announcer import Announcer
from colugo.net.mdns.query import SERVICE_TYPE, TYPE_PTR, TYPE_SRV, OneShotQuerier, confine, mdns_addresses
from colugo.net.mdns.records import forget_records, instance_name, read_records, service_info
from colugo.net.mdns.verifier import Verifier
from colugo.net.transport.tasks import Tasks
from colugo.protocol.advertisement import UNKNOWN, Advertisement
from colugo.protocol.throttle import Throttle

log = logging.getLogger("colugo.discovery")

_CLOSE_AFTER_S = 0.02
_ASK_AGAIN_S = (1, 2, 4, 8, 15, 30, 60, 60, 60, 60, 60)
"""Delays between queries after a loss; the browser's own next query may be an hour away."""
_RESOLVE_MS = 3000
_RESOLVE_AGAIN_S = (1, 5, 15, 60, 300)
_SETTLED_S = 2.0
"""The time until the last announcement of a change has arrived."""
_MAX_IGNORED = 1000


class SharedResponder:
    """The responder, browser and cache shared by the nodes of one loop and scope."""

    _shared: ClassVar[weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, "SharedResponder"]]] = (
        weakref.WeakKeyDictionary()
    )

    def __init__(self, scope: Scope, loop: asyncio.AbstractEventLoop) -> None:
        self._scope = scope
        self._loop = loop
        self._listeners: list[Listener] = []
        self._notify = InOrder(self._notify_listeners)
        self._known: dict[str, Advertisement] = {}
        self._tasks = Tasks("mdns", log)
        self._announcer = Announcer(self._tasks)
        self._verifier = Verifier(self._tasks, self._known, self._announcer, self)
        self._repeating: asyncio.Task[None] | None = None
        self._zeroconf: AsyncZeroconf | None = None
        self._browser: AsyncServiceBrowser | None = None
        self._querier: OneShotQuerier | None = None
        self._starting: asyncio.Task[None] | None = None
        self._sweeping: asyncio.Task[None] | None = None
        self._unsettled: set[str] = set()
        self._settling: asyncio.Task[None] | None = None
        self._watch: ScopeWatch | None = None
        self._switching = asyncio.Lock()
        self._throttle = Throttle()
        self.ignored: dict[str, str] = {}
        """Advertisements that this version of colugo does not understand, with the reasons."""

    @classmethod
    def of(cls, scope: Scope) -> "SharedResponder":
        """Return the responder of the running loop and this scope; created if it does not exist."""
        loop = asyncio.get_running_loop()
        responders = cls._shared.setdefault(loop, {})
        if scope.wanted not in responders:
            responders[scope.wanted] = cls(scope, loop)
        return responders[scope.wanted]

    async def join(self, listener: Listener) -> None:
        """Add a listener; it gets all known advertisements, and all changes."""
        self._listeners.append(listener)
        for advertisement in list(self._known.values()):
            listener(DirectoryEvent(DirectoryChange.UP, advertisement))
        if self._starting is None:
            self._starting = self._tasks.spawn(self._start(), "start")
        await asyncio.shield(self._starting)

    async def leave(self, listener: Listener) -> None:
        """Remove a listener; the responder closes with the last one."""
        self._listeners.remove(listener)
        if self._listeners:
            return
        responders = self._shared.get(self._loop, {})
        if responders.get(self._scope.wanted) is self:
            del responders[self._scope.wanted]
        if self._watch is not None:
            self._watch.leave(self._on_scope_change)
        self._verifier.close()
        await self._tasks.cancel()
        if self._querier is not None:
            self._querier.close()
        if self._browser is not None:
            await self._browser.async_cancel()
        if self._zeroconf is not None:
            await asyncio.sleep(_CLOSE_AFTER_S)  # until the second goodbye is sent
            await self._zeroconf.async_close()

    async def _start(self) -> None:
        self._watch = ScopeWatch.of(self._scope)
        self._watch.follow(self._on_scope_change)
        self._scope = self._watch.scope
        await self._begin()

    async def _begin(self) -> None:
        addresses = mdns_addresses(self._scope)
        zeroconf = None
        try:
            # opened before the query, so that no announcement is missed in between
            zeroconf = self._zeroconf = AsyncZeroconf(interfaces=addresses)
            self._querier = OneShotQuerier(addresses, self._on_answer)
            self._querier.ask([SERVICE_TYPE], TYPE_PTR)
            self._browser = AsyncServiceBrowser(
                zeroconf.zeroconf, SERVICE_TYPE, handlers=[self._on_browser_event]
            )
            await zeroconf.zeroconf.async_wait_for_start()
            confine(zeroconf.zeroconf, host_only=self._scope.host_only)
            self._announcer.start(zeroconf)
            if self._sweeping is None:
                self._sweeping = self._tasks.spawn(self._verifier.sweep(), "sweep")
        except (OSError, NotRunningException, RuntimeError) as error:
            log.warning(
                "mDNS does not work on %s (%s): other nodes are found only through peers= or connect=",
                self._scope,
                error,
            )
            self._zeroconf = None
            if zeroconf is not None:
                await zeroconf.async_close()

    def _on_scope_change(self, scope: Scope) -> None:
        self._scope = scope
        self._tasks.spawn(self._switch_addresses(), "follow the network")

    async def _switch_addresses(self) -> None:
        """Switch to the scope's current addresses, one change at a time."""
        async with self._switching:
            scope, zeroconf = self._scope, self._zeroconf
            if zeroconf is None:
                await self._begin()
                return
            addresses = mdns_addresses(scope)
            try:
                querier = OneShotQuerier(addresses, self._on_answer)
            except OSError as error:  # the next change is under way
                log.info("no queries on %s: %s", scope, error)
                return
            if self._querier is not None:
                self._querier.close()
            self._querier = querier
            self._schedule_queries(immediately=True)
            # announces everything again on new interfaces, which takes half a second
            await zeroconf.zeroconf.async_update_interfaces(addresses)
            confine(zeroconf.zeroconf, host_only=scope.host_only)

    def advertise(self, advertisement: Advertisement) -> None:
        """Advertise a socket to all nodes, and immediately to those of this loop."""
        info = service_info(advertisement)
        if self._announcer.add(info):
            self._up(info.name, advertisement)

    def withdraw(self, advertisements: list[Advertisement]) -> None:
        """Withdraw sockets."""
        names = [instance_name(advertisement) for advertisement in advertisements]
        self._announcer.remove(names)
        for name in names:
            self._down(name)

    def suspect(self, advertisement: Advertisement) -> None:
        """Verify all sockets of a socket's node, which disappear together."""
        node = advertisement.node_id
        names = [name for name, one in self._known.items() if one.node_id == node]
        self._verifier.verify([name for name in names if not self._announcer.owns(name)])

    def vouch(self, advertisement: Advertisement) -> None:
        """Restore a socket that answers again, and query all records."""
        self._up(instance_name(advertisement), advertisement)
        self._schedule_queries(immediately=True)

    def _schedule_queries(self, *, immediately: bool = False) -> None:
        if self._repeating is not None:
            self._repeating.cancel()
        if immediately:
            self.ask([SERVICE_TYPE], TYPE_PTR)
        self._repeating = self._tasks.spawn(self._repeat_query(), "query again")

    async def _repeat_query(self) -> None:
        for delay_s in _ASK_AGAIN_S:
            await asyncio.sleep(delay_s * random.uniform(0.8, 1.2))  # noqa: S311 - no secret
            self.ask([SERVICE_TYPE], TYPE_PTR)

    @property
    def scope(self) -> Scope:
        """The current addresses."""
        return self._scope

    def ask(self, names: list[str], record_type: int) -> None:
        """Send a one-shot query for names and a record type."""
        if self._querier is not None:
            self._querier.ask(names, record_type)

    def on_gone(self, name: str, change: DirectoryChange) -> None:
        """Remove a socket that the verifier has found DOWN or LOST."""
        if self._zeroconf is not None:
            forget_records(name, self._zeroconf.zeroconf.cache)
        self._down(name, change)
        self._schedule_queries()

    def _on_answer(self, message: DNSIncoming) -> None:
        """Add the answers of a one-shot query to zeroconf's cache, so that the browser reports them."""
        if self._zeroconf is None or self._zeroconf.zeroconf.done:
            return
        self._zeroconf.zeroconf.record_manager.async_updates_from_response(message)
        for record in message.answers():
            if record.type == TYPE_SRV:
                self._verifier.answered(record.name)

    def _on_browser_event(
        self, zeroconf: Zeroconf, service_type: str, name: str, state_change: ServiceStateChange
    ) -> None:
        if self._announcer.owns(name):
            return
        if state_change is ServiceStateChange.Removed:
            self.ignored.pop(name, None)
            self._down(name)
            return
        info = AsyncServiceInfo(service_type, name)
        if info.load_from_cache(zeroconf):
            self._resolved(info, zeroconf)
        else:
            self._tasks.spawn(self._resolve(info), f"resolve {name}")
        if state_change is ServiceStateChange.Updated:
            self._unsettled.add(name)
            if self._settling is None or self._settling.done():
                self._settling = self._tasks.spawn(self._settle(), "settle")

    async def _settle(self) -> None:
        """Read changed records once more, because recent ones are not replaced immediately (§10.2)."""
        while self._unsettled:
            names, self._unsettled = self._unsettled, set()
            await asyncio.sleep(_SETTLED_S)
            for name in names & self._known.keys():
                info = AsyncServiceInfo(SERVICE_TYPE, name)
                if self._zeroconf is not None and info.load_from_cache(self._zeroconf.zeroconf):
                    self._resolved(info, self._zeroconf.zeroconf)

    async def _resolve(self, info: AsyncServiceInfo) -> None:
        """Query an instance's records until they arrive; packets get lost in large bursts."""
        for delay_s in _RESOLVE_AGAIN_S:
            if self._zeroconf is None or info.name in self._known:
                return
            zeroconf = self._zeroconf.zeroconf
            if await info.async_request(zeroconf, _RESOLVE_MS):
                self._resolved(info, zeroconf)
                return
            log.debug("no answer for the records of %s", info.name)
            await asyncio.sleep(delay_s)

    def _resolved(self, info: AsyncServiceInfo, zeroconf: Zeroconf) -> None:
        try:
            advertisement = read_records(info, zeroconf.cache)
        except AdvertisementError as error:
            if info.name in self.ignored or len(self.ignored) < _MAX_IGNORED:
                self.ignored[info.name] = str(error)
            # sockets of a newer version are not an error
            level = logging.INFO if str(error).startswith(UNKNOWN) else logging.WARNING
            more = self._throttle.note(level, self._loop.time())
            if more is not None:
                log.log(level, "ignored the mDNS record %s: %s%s", info.name, error, more)
            return
        self.ignored.pop(info.name, None)
        self._up(info.name, advertisement)

    def _up(self, name: str, advertisement: Advertisement) -> None:
        before = self._known.get(name)
        if before is not None and before.socket_id != advertisement.socket_id:
            self._down(name)
        self._known[name] = advertisement
        self._notify(DirectoryEvent(DirectoryChange.UP, advertisement))

    def _down(self, name: str, change: DirectoryChange = DirectoryChange.DOWN) -> None:
        advertisement = self._known.pop(name, None)
        if advertisement is not None:
            self._notify(DirectoryEvent(change, advertisement))

    def _notify_listeners(self, event: DirectoryEvent) -> None:
        for listener in list(self._listeners):
            listener(event)

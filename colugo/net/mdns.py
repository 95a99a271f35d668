"""The directory on mDNS/DNS-SD: one instance of `_colugo._tcp.local.` a bound socket."""

import asyncio
import logging
import random
import weakref
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, ClassVar

from zeroconf import (
    DNSIncoming,
    DNSOutgoing,
    NotRunningException,
    ServiceInfo,
    ServiceStateChange,
    Zeroconf,
)
from zeroconf.asyncio import AsyncServiceBrowser, AsyncServiceInfo, AsyncZeroconf

from colugo.errors import AdvertisementError
from colugo.net.directory import Change, DirectoryEvent, Listener
from colugo.net.interfaces import Scope
from colugo.net.mdns_query import SERVICE_TYPE, TYPE_PTR, TYPE_SRV, OneShotQuerier, confine
from colugo.protocol.advertisement import Advertisement, from_txt, instance_label, to_txt
from colugo.protocol.throttle import Throttle

log = logging.getLogger("colugo.discovery")

_RESPONSE_FLAGS = 0x8400
_BURST = 25
_PACE_S = 0.02
_GOODBYES_AFTER_S = (0.015, 0.6, 1.6)
"""Again, for packets get lost; and later again, for zeroconf may still have an answer in a delayed queue."""
_CLOSE_AFTER_S = 0.02
_FORGET_WITHDRAWN_S = 5.0
_ASK_AGAIN_S = (1, 2, 4, 8, 15, 30, 60, 60, 60, 60, 60)
"""After a loss, until everything is found again: the browser's own next query may be an hour away."""
_RESOLVE_MS = 3000
_VERIFY_TRIES = 3
_VERIFY_WAIT_S = 0.4


class MdnsDirectory:
    """A node's directory on mDNS.

    Nodes of one loop and scope share one responder, browser and cache.

    Args:
        scope: the interfaces to use.
    """

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._link: _Link | None = None
        self._listener: Listener | None = None
        self._own: dict[bytes, Advertisement] = {}

    async def open(self, listener: Listener) -> None:
        """Ask the network at once, by a one-shot query, and browse from then on."""
        self._listener = listener
        self._link = _Link.of(self._scope)
        await self._link.enter(listener)

    def advertise(self, advertisement: Advertisement) -> None:
        """Announce without probing (the label is unique by its id); paced, in the background."""
        if self._link is not None:
            self._own[advertisement.socket_id] = advertisement
            self._link.advertise(advertisement)

    def withdraw(self, advertisement: Advertisement) -> None:
        """Say goodbye (RFC 6762 §10.1)."""
        if self._link is not None and self._own.pop(advertisement.socket_id, None) is not None:
            self._link.withdraw([advertisement])

    def suspect(self, advertisement: Advertisement) -> None:
        """Ask for its SRV record; without an answer in about a second, it is down."""
        if self._link is not None:
            self._link.suspect(advertisement)

    async def close(self) -> None:
        """Say goodbye for what is left, and close the shared parts if this was the last user."""
        link, self._link = self._link, None
        if link is not None and self._listener is not None:
            link.withdraw(list(self._own.values()))
            self._own.clear()
            await link.leave(self._listener)


class _Link:
    """The parts shared by the nodes of one loop and scope."""

    _links: ClassVar[weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Scope, "_Link"]]] = (
        weakref.WeakKeyDictionary()
    )

    def __init__(self, scope: Scope, loop: asyncio.AbstractEventLoop) -> None:
        self._scope = scope
        self._loop = loop
        self._listeners: list[Listener] = []
        self._known: dict[str, Advertisement] = {}
        self._own: dict[str, ServiceInfo] = {}
        self._unannounced: dict[str, ServiceInfo] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._announcer: asyncio.Task[None] | None = None
        self._announcing: dict[str, asyncio.Task[None]] = {}
        self._withdrawn: dict[str, float] = {}
        self._verifying: dict[str, asyncio.Event] = {}
        self._asking: asyncio.Task[None] | None = None
        self._zeroconf: AsyncZeroconf | None = None
        self._browser: AsyncServiceBrowser | None = None
        self._querier: OneShotQuerier | None = None
        self._starting: asyncio.Task[None] | None = None
        self._throttle = Throttle(60.0)

    @classmethod
    def of(cls, scope: Scope) -> "_Link":
        loop = asyncio.get_running_loop()
        links = cls._links.setdefault(loop, {})
        return links.setdefault(scope, cls(scope, loop))

    async def enter(self, listener: Listener) -> None:
        self._listeners.append(listener)
        for advertisement in self._known.values():
            listener(DirectoryEvent(Change.UP, advertisement))
        if self._starting is None:
            self._starting = self._spawn(self._start(), "start")
        await asyncio.shield(self._starting)

    async def leave(self, listener: Listener) -> None:
        self._listeners.remove(listener)
        if self._listeners:
            return
        links = self._links.get(self._loop, {})
        if links.get(self._scope) is self:
            del links[self._scope]
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._querier is not None:
            self._querier.close()
        if self._browser is not None:
            await self._browser.async_cancel()
        if self._zeroconf is not None:
            await asyncio.sleep(_CLOSE_AFTER_S)  # let the second goodbye go out
            await self._zeroconf.async_close()

    async def _start(self) -> None:
        addresses = list(self._scope.addresses)
        try:
            # its listening socket before the question, so that no announcement falls between them
            self._zeroconf = AsyncZeroconf(interfaces=addresses)
            self._querier = OneShotQuerier(addresses, self._on_answer)
            self._querier.ask([SERVICE_TYPE], TYPE_PTR)
            self._browser = AsyncServiceBrowser(
                self._zeroconf.zeroconf, SERVICE_TYPE, handlers=[self._on_browser_event]
            )
            await self._zeroconf.zeroconf.async_wait_for_start()
            confine(self._zeroconf.zeroconf, host_only=self._scope.host_only)
        except (OSError, NotRunningException) as error:
            log.warning(
                "mDNS does not work on %s (%s): this node finds others only where connect= names them",
                self._scope,
                error,
            )

    def advertise(self, advertisement: Advertisement) -> None:
        info = _service_info(advertisement)
        if info.name in self._own:
            return
        self._own[info.name] = info
        self._unannounced[info.name] = info
        self._up(info.name, advertisement)
        if self._announcer is None or self._announcer.done():
            self._announcer = self._spawn(self._announce(), "announce")

    async def _announce(self) -> None:
        """Register what waits, a burst at a time: all at once would overrun the network's receivers."""
        while self._unannounced and self._zeroconf is not None:
            for name in list(self._unannounced)[:_BURST]:
                info = self._unannounced.pop(name, None)
                if info is not None:
                    await self._register(self._zeroconf, info)
            if self._unannounced:
                await asyncio.sleep(_PACE_S)

    async def _register(self, zeroconf: AsyncZeroconf, info: ServiceInfo) -> None:
        announced = await zeroconf.async_register_service(info, cooperating_responders=True)
        task = asyncio.ensure_future(announced)
        self._keep(task, f"announce {info.name}")
        self._announcing[info.name] = task
        task.add_done_callback(lambda _: self._announcing.pop(info.name, None))
        if info.name not in self._own:  # withdrawn meanwhile
            self._say_goodbye([info])

    def withdraw(self, advertisements: list[Advertisement]) -> None:
        infos = []
        for advertisement in advertisements:
            name = _instance_name(advertisement)
            info = self._own.pop(name, None)
            if info is None:
                continue
            self._withdrawn[name] = self._loop.time() + _FORGET_WITHDRAWN_S
            self._down(name)
            if self._unannounced.pop(name, None) is None:
                infos.append(info)
        if infos:
            self._say_goodbye(infos)

    def _say_goodbye(self, infos: list[ServiceInfo]) -> None:
        if self._zeroconf is None or not self._zeroconf.zeroconf.started:
            return
        zeroconf = self._zeroconf.zeroconf
        zeroconf.registry.async_remove(infos)
        goodbye = DNSOutgoing(_RESPONSE_FLAGS)
        for info in infos:
            announcing = self._announcing.pop(info.name, None)
            if announcing is not None:
                announcing.cancel()
            for record in (
                info.dns_pointer(override_ttl=0),
                info.dns_service(override_ttl=0),
                info.dns_text(override_ttl=0),
            ):
                goodbye.add_answer_at_time(record, 0)
        zeroconf.async_send(goodbye)
        for after_s in _GOODBYES_AFTER_S:  # those after the closing of zeroconf go nowhere
            self._loop.call_later(after_s, zeroconf.async_send, goodbye)

    def suspect(self, advertisement: Advertisement) -> None:
        """Look after all sockets of its node: they have gone together, if at all."""
        node = advertisement.node_id
        names = {name for name, one in self._known.items() if one.node_id == node} - self._own.keys()
        names -= self._verifying.keys()
        if names:
            unanswered = {name: asyncio.Event() for name in names}
            self._verifying.update(unanswered)
            self._spawn(self._verify(unanswered), f"verify {advertisement.node}")

    async def _verify(self, unanswered: dict[str, asyncio.Event]) -> None:
        try:
            for _ in range(_VERIFY_TRIES):
                silent = [name for name, answered in unanswered.items() if not answered.is_set()]
                if self._querier is not None:
                    self._querier.ask(silent, TYPE_SRV)
                with suppress(TimeoutError):
                    async with asyncio.timeout(_VERIFY_WAIT_S):
                        for answered in unanswered.values():
                            await answered.wait()
                    return
            for name, answered in unanswered.items():
                if not answered.is_set():
                    self._forget_cached(name)
                    self._down(name)
            self._ask_again()
        finally:
            for name in unanswered:
                self._verifying.pop(name, None)

    def _ask_again(self) -> None:
        if self._asking is not None:
            self._asking.cancel()
        self._asking = self._spawn(self._keep_asking(), "ask again")

    async def _keep_asking(self) -> None:
        for delay_s in _ASK_AGAIN_S:
            await asyncio.sleep(delay_s * random.uniform(0.8, 1.2))  # noqa: S311 - no secret
            if self._querier is not None:
                self._querier.ask([SERVICE_TYPE], TYPE_PTR)

    def _forget_cached(self, name: str) -> None:
        """Without this, the same advertisement could not come up again before its TTL."""
        if self._zeroconf is None:
            return
        cache = self._zeroconf.zeroconf.cache
        records = list(cache.async_entries_with_name(name))
        pointer = cache.current_entry_with_name_and_alias(SERVICE_TYPE, name)
        cache.async_remove_records([*records, *([pointer] if pointer else [])])

    def _on_answer(self, message: DNSIncoming) -> None:
        """Hand the answers of a one-shot query to zeroconf's cache, from which the browser learns of them."""
        if self._zeroconf is None or self._zeroconf.zeroconf.done:
            return
        self._zeroconf.zeroconf.record_manager.async_updates_from_response(message)
        for record in message.answers():
            if record.type == TYPE_SRV and record.name in self._verifying:
                self._verifying[record.name].set()

    def _on_browser_event(
        self, zeroconf: Zeroconf, service_type: str, name: str, state_change: ServiceStateChange
    ) -> None:
        if name in self._own or self._is_withdrawn(name):
            return
        if state_change is ServiceStateChange.Removed:
            self._down(name)
            return
        info = AsyncServiceInfo(service_type, name)
        if info.load_from_cache(zeroconf):
            self._resolved(info)
        else:
            self._spawn(self._resolve(info), f"resolve {name}")

    def _is_withdrawn(self, name: str) -> bool:
        """Whether it was ours a moment ago: an echo of its announcement may still be under way."""
        if not self._withdrawn:
            return False
        now = self._loop.time()
        self._withdrawn = {one: until for one, until in self._withdrawn.items() if until > now}
        return name in self._withdrawn

    async def _resolve(self, info: AsyncServiceInfo) -> None:
        if self._zeroconf is None:
            return
        if await info.async_request(self._zeroconf.zeroconf, _RESOLVE_MS):
            self._resolved(info)
        else:
            log.debug("nobody tells where %s is", info.name)

    def _resolved(self, info: AsyncServiceInfo) -> None:
        try:
            # not decoded_properties: that replaces what is not UTF-8
            txt = {key.decode(): value.decode() if value else None for key, value in info.properties.items()}
            advertisement = from_txt(txt, tuple(info.parsed_addresses()), info.port)
        except (AdvertisementError, UnicodeDecodeError) as error:
            held = self._throttle.admit("malformed", self._loop.time())
            if held is not None:
                log.warning(
                    "ignored the malformed mDNS record %s: %s (%d more like it)", info.name, error, held
                )
            return
        self._up(info.name, advertisement)

    def _up(self, name: str, advertisement: Advertisement) -> None:
        before = self._known.get(name)
        if before is not None and before.socket_id != advertisement.socket_id:
            self._down(name)
        self._known[name] = advertisement
        self._tell(DirectoryEvent(Change.UP, advertisement))

    def _down(self, name: str) -> None:
        advertisement = self._known.pop(name, None)
        if advertisement is not None:
            self._tell(DirectoryEvent(Change.DOWN, advertisement))

    def _tell(self, event: DirectoryEvent) -> None:
        for listener in list(self._listeners):
            listener(event)

    def _spawn(self, coroutine: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        return self._keep(self._loop.create_task(coroutine), name)

    def _keep(self, task: asyncio.Task[None], name: str) -> asyncio.Task[None]:
        task.set_name(f"colugo mdns {name}")
        self._tasks.add(task)
        task.add_done_callback(self._finished)
        return task

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("%s failed", task.get_name(), exc_info=error)


def _instance_name(advertisement: Advertisement) -> str:
    return f"{instance_label(advertisement)}.{SERVICE_TYPE}"


def _service_info(advertisement: Advertisement) -> ServiceInfo:
    return ServiceInfo(
        SERVICE_TYPE,
        _instance_name(advertisement),
        port=advertisement.port,
        parsed_addresses=list(advertisement.addresses),
        properties=to_txt(advertisement),
        server=f"colugo-{advertisement.node_id.hex()[:12]}.local.",
    )

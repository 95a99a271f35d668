"""Paced announcements of a process's own sockets over mDNS, and goodbyes."""

import asyncio
from collections.abc import Awaitable
from functools import partial

from zeroconf import DNSOutgoing, ServiceInfo
from zeroconf.asyncio import AsyncZeroconf

from colugo.net.transport.tasks import Tasks

_RESPONSE_FLAGS = 0x8400
_BURST = 25
_PACE_S = 0.02
_UPDATE_AGAIN_S = 1.2
_GOODBYES_AFTER_S = (0.015, 0.6, 1.6)
"""Repeated because packets get lost, and once more because zeroconf may have delayed an older answer."""
_FORGET_WITHDRAWN_S = 5.0


class Announcer:
    """The announcements of one responder."""

    def __init__(self, tasks: Tasks) -> None:
        self._tasks = tasks
        self._loop = asyncio.get_running_loop()
        self._zeroconf: AsyncZeroconf | None = None
        self._own: dict[str, ServiceInfo] = {}
        self._unannounced: dict[str, ServiceInfo] = {}
        self._changed: dict[str, ServiceInfo] = {}
        self._announcing: dict[str, asyncio.Task[None]] = {}
        self._withdrawn: dict[str, float] = {}
        self._pacer: asyncio.Task[None] | None = None

    def start(self, zeroconf: AsyncZeroconf) -> None:
        """Begin to announce pending and future sockets with this responder."""
        self._zeroconf = zeroconf
        self._pace()

    def owns(self, name: str) -> bool:
        """Return True for an own instance, or one withdrawn just now, whose echoes may still arrive."""
        if name in self._own:
            return True
        if not self._withdrawn:
            return False
        now = self._loop.time()
        self._withdrawn = {one: until for one, until in self._withdrawn.items() if until > now}
        return name in self._withdrawn

    def add(self, info: ServiceInfo) -> bool:
        """Schedule an announcement, without probing; return False if the same is announced already."""
        before = self._own.get(info.name)
        if before is not None and _content(before) == _content(info):
            return False
        self._own[info.name] = info
        if before is None or info.name in self._unannounced:
            self._unannounced[info.name] = info
        else:
            self._changed[info.name] = info
        self._pace()
        return True

    def remove(self, names: list[str]) -> None:
        """Send goodbyes for these instances (RFC 6762 §10.1); ignore those of other responders."""
        announced = []
        for name in names:
            info = self._own.pop(name, None)
            if info is None:
                continue
            self._withdrawn[name] = self._loop.time() + _FORGET_WITHDRAWN_S
            self._changed.pop(name, None)
            if self._unannounced.pop(name, None) is None:
                announced.append(info)
        if announced:
            self._send_goodbye(announced)

    def _pace(self) -> None:
        if self._zeroconf is not None and (self._pacer is None or self._pacer.done()):
            self._pacer = self._tasks.spawn(self._announce(self._zeroconf), "announce")

    async def _announce(self, zeroconf: AsyncZeroconf) -> None:
        """Register pending sockets in bursts; all at once would overrun the receivers."""
        while self._unannounced or self._changed:
            for name in [*self._unannounced, *self._changed][:_BURST]:
                info = self._unannounced.pop(name, None)
                if info is not None:
                    self._keep(await zeroconf.async_register_service(info, cooperating_responders=True), info)
                    continue
                info = self._changed.pop(name, None)
                if info is not None:  # unless withdrawn meanwhile
                    self._keep(self._update(zeroconf, info), info)
            if self._unannounced or self._changed:
                await asyncio.sleep(_PACE_S)

    async def _update(self, zeroconf: AsyncZeroconf, info: ServiceInfo) -> None:
        """Announce a change, and repeat it after a second (RFC 6762 §8.3).

        Receivers keep replaced records that they received within the last second (§10.2).
        """
        await (await zeroconf.async_update_service(info))
        await asyncio.sleep(_UPDATE_AGAIN_S)
        await (await zeroconf.async_update_service(info))

    def _keep(self, announced: Awaitable[None], info: ServiceInfo) -> None:
        before = self._announcing.get(info.name)
        if before is not None:  # its announcements are outdated
            before.cancel()
        task = self._tasks.keep(asyncio.ensure_future(announced), f"announce {info.name}")
        self._announcing[info.name] = task
        task.add_done_callback(partial(self._announced, info.name))
        if info.name not in self._own:  # withdrawn meanwhile
            self._send_goodbye([info])

    def _announced(self, name: str, task: asyncio.Task[None]) -> None:
        if self._announcing.get(name) is task:
            del self._announcing[name]

    def _send_goodbye(self, infos: list[ServiceInfo]) -> None:
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
        for after_s in _GOODBYES_AFTER_S:  # zeroconf drops those after its end
            self._loop.call_later(after_s, zeroconf.async_send, goodbye)


def _content(info: ServiceInfo) -> tuple[object, ...]:
    """Return the announced content; zeroconf compares only names."""
    return info.text, info.port, info.parsed_addresses()

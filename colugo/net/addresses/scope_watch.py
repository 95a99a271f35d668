"""Watching the addresses of a scope, which change with Wi-Fi, DHCP and cables."""

import asyncio
import logging
import time
import weakref
from collections.abc import Callable
from typing import ClassVar

from colugo.errors import ConfigurationError
from colugo.net.addresses.interfaces import Scope, scope_now

log = logging.getLogger("colugo.discovery")

Follower = Callable[[Scope], None]

_CHECK_S = 1.0
_MAX_SHARE = 0.002
"""The share of a processor for checks; with very many interfaces, they become less frequent."""


class ScopeWatch:
    """A check each second for changed addresses of a scope, shared by the nodes of a loop.

    Operating systems have no common notification of such changes, and a check takes less than a millisecond.
    """

    _watches: ClassVar[weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, "ScopeWatch"]]] = (
        weakref.WeakKeyDictionary()
    )

    def __init__(self, scope: Scope, loop: asyncio.AbstractEventLoop) -> None:
        self.scope = scope
        """The current scope."""
        self._loop = loop
        self._followers: list[Follower] = []
        self._timer: asyncio.TimerHandle | None = None
        self._logged = ""

    @classmethod
    def of(cls, scope: Scope) -> "ScopeWatch":
        """Return the watch of the running loop and this scope; created if it does not exist."""
        loop = asyncio.get_running_loop()
        watches = cls._watches.setdefault(loop, {})
        if scope.wanted not in watches:
            watches[scope.wanted] = cls(scope, loop)
        return watches[scope.wanted]

    def follow(self, follower: Follower) -> None:
        """Call a follower with the new scope after each change."""
        self._followers.append(follower)
        if self._timer is None and self.scope.wanted != "host":
            self._timer = self._loop.call_later(_CHECK_S, self._check_again)

    def leave(self, follower: Follower) -> None:
        """Remove a follower; the watch stops with the last one."""
        self._followers.remove(follower)
        if self._followers:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        watches = self._watches.get(self._loop, {})
        if watches.get(self.scope.wanted) is self:
            del watches[self.scope.wanted]

    def check(self) -> None:
        """Check now, and notify the followers of a change."""
        try:
            now = scope_now(self.scope.wanted)
        except (ConfigurationError, OSError) as error:
            # all addresses of the scope are gone for now: sockets keep theirs until they are back
            now = self.scope
            if str(error) != self._logged:
                log.warning("%s; waiting for it", error)
            self._logged = str(error)
        else:
            self._logged = ""
        if now == self.scope:
            return
        log.info(
            "the network has changed: scope %s is now %s%s", self.scope, now, now.note and f"; {now.note}"
        )
        self.scope = now
        for follower in list(self._followers):
            try:
                follower(now)
            except Exception:
                log.exception("a follower of the network's changes failed")

    def _check_again(self) -> None:
        # processor time, because waiting on a busy machine costs nothing
        began = time.thread_time()
        self.check()
        took = time.thread_time() - began
        if self._followers:
            self._timer = self._loop.call_later(max(_CHECK_S, took / _MAX_SHARE), self._check_again)

"""Following the addresses of a scope while nodes run: Wi-Fi, DHCP, cables that come and go."""

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

_LOOK_S = 1.0
_MAX_SHARE = 0.002
"""How much of a processor a process may spend on it: with very many interfaces it looks less often."""


class ScopeWatch:
    """Looks once a second whether a scope has other addresses now; shared by the nodes of a loop.

    The systems have no common way to be told of it, and a look takes less than a millisecond.

    Args:
        scope: as it was when the first node was made.
        loop: the running loop.
    """

    _watches: ClassVar[weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, "ScopeWatch"]]] = (
        weakref.WeakKeyDictionary()
    )

    def __init__(self, scope: Scope, loop: asyncio.AbstractEventLoop) -> None:
        self.scope = scope
        """As it is now."""
        self._loop = loop
        self._followers: list[Follower] = []
        self._timer: asyncio.TimerHandle | None = None
        self._told = ""

    @classmethod
    def of(cls, scope: Scope) -> "ScopeWatch":
        """The watch of the running loop and this scope, made if there is none."""
        loop = asyncio.get_running_loop()
        watches = cls._watches.setdefault(loop, {})
        if scope.wanted not in watches:
            watches[scope.wanted] = cls(scope, loop)
        return watches[scope.wanted]

    def follow(self, follower: Follower) -> None:
        """Call back with the new scope after each change."""
        self._followers.append(follower)
        if self._timer is None and self.scope.wanted != "host":
            self._timer = self._loop.call_later(_LOOK_S, self._look_again)

    def leave(self, follower: Follower) -> None:
        """End that; the last one ends the looking."""
        self._followers.remove(follower)
        if self._followers:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        watches = self._watches.get(self._loop, {})
        if watches.get(self.scope.wanted) is self:
            del watches[self.scope.wanted]

    def look(self) -> None:
        """Look now, and tell the followers if it has changed."""
        try:
            now = scope_now(self.scope.wanted)
        except (ConfigurationError, OSError) as error:
            # what the scope names is gone for now: sockets stay where they are until it is back
            now = self.scope
            if str(error) != self._told:
                log.warning("%s; waiting for it", error)
            self._told = str(error)
        else:
            self._told = ""
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
                log.exception("one of those who follow the network could not")

    def _look_again(self) -> None:
        # time of the processor: on a busy machine a look may be held up for long, and costs no more for that
        began = time.thread_time()
        self.look()
        took = time.thread_time() - began
        if self._followers:
            self._timer = self._loop.call_later(max(_LOOK_S, took / _MAX_SHARE), self._look_again)

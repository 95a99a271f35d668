"""How the streams of a topic tell each other which consumer groups there are, or are no more."""

import asyncio
from typing import Annotated, Any

import msgspec

from colugo.errors import ColugoError, FrameError
from colugo.net.directory import DirectoryChange
from colugo.net.node_endpoint import ask
from colugo.net.registry import Watch
from colugo.net.runtime import Runtime
from colugo.patterns.streams.delivery_scheduler import DeliveryScheduler
from colugo.protocol.advertisement import Advertisement
from colugo.protocol.streams.bindings import Bindings
from colugo.protocol.streams.message_parts import check_group

QUESTION = "stream-groups"
_ASK_MS = 2000
_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 30.0
_WARN_AT = 6
"""After so many failures in a row somebody is told: at first, the other node may not be known or open yet."""
_GATHER_S = 0.05
"""How long changes are gathered before others are told."""
_MAX_GROUPS = 10_000
_PART_BYTES = 256 * 1024
"""Of the names and bindings in one question."""


class GroupNews(msgspec.Struct, frozen=True):
    """What one stream tells another of a durable group; JSON.

    Attributes:
        name: of the group.
        bindings: patterns of the keys it wants.
        forgotten: whether it has been retired.
        changed_ms: since when that is so, milliseconds since 1970.
    """

    name: str
    bindings: list[str]
    forgotten: bool
    changed_ms: Annotated[int, msgspec.Meta(ge=0, le=2**53)]


class StreamGossip:
    """Tells each other stream of the topic which groups this one knows, and hears which that knows.

    That is done when the other one appears, and again when something has changed here. So a message waits for
    a group whose members are all away, though they have never met this stream. The newer word counts, but a
    group that has members here is not forgotten: that it is there is the newest word.

    Args:
        runtime: the node's.
        topic: of the stream.
        own: its advertisement.
        scheduler: of the stream.
    """

    def __init__(
        self, runtime: Runtime, topic: str, own: Advertisement, scheduler: DeliveryScheduler
    ) -> None:
        self._runtime = runtime
        self._topic = topic
        self._own = own
        self._scheduler = scheduler
        self._watch = Watch(own.kind, topic, self._on_change)
        self._telling: dict[bytes, asyncio.Task[Any]] = {}
        self._changes = 0
        self._changed = asyncio.Event()
        self._hearing = False
        scheduler.groups.on_news = self._on_news

    def open(self) -> None:
        """Begin, on the loop."""
        self._runtime.registry.watch(self._watch)

    def close(self) -> None:
        """Tell no more."""
        self._runtime.registry.unwatch(self._watch)
        for task in self._telling.values():
            task.cancel()

    def tell(self) -> list[dict[str, Any]]:
        """The durable groups that this stream knows, and those that it knows to be retired."""
        scheduler = self._scheduler
        known = [
            GroupNews(group.name, list(group.bindings.patterns), forgotten=False, changed_ms=group.changed_ms)
            for group in scheduler.groups.known.values()
            if group.durable
        ]
        known += [
            GroupNews(record.name, ["#"], forgotten=True, changed_ms=record.changed_ms)
            for record in scheduler.groups.forgotten.values()
        ]
        plain: list[dict[str, Any]] = msgspec.to_builtins(known)
        return plain

    def hear(self, news: Any) -> None:
        """Take in what another stream knows.

        Raises:
            FrameError: if that is none.
            ConfigurationError: if a name or binding breaks the rules.
        """
        try:
            groups = msgspec.convert(news, list[GroupNews])
        except msgspec.ValidationError as error:
            raise FrameError(f"no list of consumer groups: {error}") from error
        if len(groups) > _MAX_GROUPS:
            raise FrameError(f"{len(groups)} consumer groups; a stream has at most {_MAX_GROUPS}")
        for one in groups:
            check_group(one.name)
            Bindings(one.bindings)
        self._hearing = True
        try:
            alive = [one for one in groups if not self._hear_of(one)]
        finally:
            self._hearing = False
        for one in alive:
            self._scheduler.groups.revive(self._scheduler.groups.known[one.name], one.changed_ms + 1)

    def _hear_of(self, one: GroupNews) -> bool:
        """Take in what is newer; False if it says that a group is gone whose members are here."""
        scheduler = self._scheduler
        group = scheduler.groups.known.get(one.name)
        record = scheduler.groups.forgotten.get(one.name)
        if group is not None:
            if not (one.forgotten or group.durable):  # however old that word is: else messages would be lost
                scheduler.groups.endure(group)
            if one.changed_ms <= group.changed_ms:
                return True
            if group.present:
                return not one.forgotten
            if one.forgotten:
                scheduler.groups.forget(one.name, one.changed_ms)
            else:
                scheduler.groups.renew(group, one.bindings, one.changed_ms)
        elif record is not None and record.changed_ms >= one.changed_ms:
            return True
        elif one.forgotten:
            scheduler.groups.forget(one.name, one.changed_ms)
        else:
            scheduler.groups.renew(
                scheduler.groups.make_group(one.name, one.bindings, durable=True),
                one.bindings,
                one.changed_ms,
            )
        return True

    def _on_news(self) -> None:
        if not self._hearing:  # what others tell they tell to all
            self._changes += 1
            self._changed.set()
            self._changed = asyncio.Event()

    def _on_change(self, change: DirectoryChange, peer: Advertisement) -> None:
        if peer.socket_id == self._own.socket_id:
            return
        before = self._telling.pop(peer.socket_id, None)
        if before is not None:
            before.cancel()
        if change is DirectoryChange.UP:
            name = f"stream {self._topic} groups"
            self._telling[peer.socket_id] = self._runtime.spawn(self._keep_told(peer), name)

    async def _keep_told(self, peer: Advertisement) -> None:
        """Exchange with another stream what there is, now and after each change, until it is gone."""
        failures = 0
        while True:
            changed, changes = self._changed, self._changes
            error = await self._exchange(peer)
            if error is None:
                failures = 0
                if changes == self._changes:
                    await changed.wait()
                await asyncio.sleep(_GATHER_S)
                continue
            failures += 1
            if failures == _WARN_AT:
                self._runtime.logger.warning(
                    "%s and this stream do not tell each other which consumer groups they know: %s",
                    peer,
                    error,
                )
            await asyncio.sleep(min(_PAUSE_S * failures, _LONGEST_PAUSE_S))

    async def _exchange(self, peer: Advertisement) -> ColugoError | None:
        """Tell, and hear what comes back; the reason if that was not possible."""
        error = ColugoError("its node's own endpoint is not known")
        endpoints = [
            endpoint
            for node in self._runtime.registry.nodes
            if node.node_id == peer.node_id
            for endpoint in node.endpoints
        ]
        for endpoint in endpoints:
            try:
                for part in _parts(self.tell()):
                    arguments = {"topic": self._topic, "socket": peer.socket_id.hex(), "groups": part}
                    self.hear(await ask(self._runtime.sockets, endpoint, QUESTION, _ASK_MS, arguments))
            except ColugoError as failure:
                error = failure
            else:
                return None
        return error


def _parts(news: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """At least one, and none so long that no question could carry it."""
    parts: list[list[dict[str, Any]]] = [[]]
    size = 0
    for one in news:
        size += len(msgspec.json.encode(one))
        if size > _PART_BYTES and parts[-1]:
            parts.append([])
            size = 0
        parts[-1].append(one)
    return parts

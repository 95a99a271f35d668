"""Exchange of the durable consumer groups between the streams of a topic."""

import asyncio
from typing import Annotated, Any

import msgspec

from colugo.errors import ColugoError, FrameError
from colugo.net.directory import DirectoryChange
from colugo.net.node_endpoint import ask
from colugo.net.registry import Watch
from colugo.net.runtime import Runtime
from colugo.patterns.streams.groups import Groups
from colugo.protocol.advertisement import Advertisement
from colugo.protocol.streams.bindings import Bindings
from colugo.protocol.streams.message_parts import check_group

QUESTION = "stream-groups"
_ASK_MS = 2000
_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 30.0
_WARN_AT = 6
"""Failures in a row before a warning: at first, the other node may not be known or open yet."""
_GATHER_S = 0.05
"""The time in which changes are gathered before they are sent."""
_MAX_GROUPS = 10_000
_PART_BYTES = 256 * 1024
"""The size of the groups in one question."""


class GroupNews(msgspec.Struct, frozen=True):
    """A durable group as streams exchange it; JSON.

    Attributes:
        changed_ms: the time of the last change, milliseconds since 1970.
    """

    name: str
    bindings: list[str]
    forgotten: bool
    changed_ms: Annotated[int, msgspec.Meta(ge=0, le=2**53)]


class StreamGossip:
    """The exchange of groups with each other stream of the topic.

    It takes place when the other stream appears, and after each change here. So messages wait for a group
    whose members are all away, even if none of them has ever joined this stream. The newer change wins, but a
    group that has members here is not forgotten: their presence is newer.
    """

    def __init__(self, runtime: Runtime, topic: str, own: Advertisement, groups: Groups) -> None:
        self._runtime = runtime
        self._topic = topic
        self._own = own
        self._groups = groups
        self._watch = Watch(own.kind, topic, self._on_peer)
        self._tasks: dict[bytes, asyncio.Task[Any]] = {}
        """The exchanges with other streams, by socket id."""
        self._changes = 0
        self._changed = asyncio.Event()
        self._merging = False
        groups.observe(self._on_change)

    def open(self) -> None:
        """Start to exchange groups, on the loop."""
        self._runtime.registry.watch(self._watch)

    def close(self) -> None:
        """Stop."""
        self._runtime.registry.unwatch(self._watch)
        for task in self._tasks.values():
            task.cancel()

    def groups(self) -> list[dict[str, Any]]:
        """Return the durable groups of this stream, and the retired ones."""
        known = [
            GroupNews(group.name, list(group.bindings.patterns), forgotten=False, changed_ms=group.changed_ms)
            for group in self._groups.known.values()
            if group.durable
        ]
        known += [
            GroupNews(record.name, ["#"], forgotten=True, changed_ms=record.changed_ms)
            for record in self._groups.retired.values()
        ]
        plain: list[dict[str, Any]] = msgspec.to_builtins(known)
        return plain

    def merge(self, news: Any) -> None:
        """Merge the groups of another stream into those of this one; raise if they are not valid."""
        try:
            groups = msgspec.convert(news, list[GroupNews])
        except msgspec.ValidationError as error:
            raise FrameError(f"not a list of consumer groups: {error}") from error
        if len(groups) > _MAX_GROUPS:
            raise FrameError(f"{len(groups)} consumer groups exceed the limit of {_MAX_GROUPS}")
        for one in groups:
            check_group(one.name)
            Bindings(one.bindings)
        self._merging = True
        try:
            alive = [one for one in groups if not self._merge_one(one)]
        finally:
            self._merging = False
        for one in alive:
            self._groups.revive(self._groups.known[one.name], one.changed_ms + 1)

    def _merge_one(self, one: GroupNews) -> bool:
        """Take a newer change; return False if it retires a group that has members here."""
        group = self._groups.known.get(one.name)
        record = self._groups.retired.get(one.name)
        if group is not None:
            if not (one.forgotten or group.durable):  # even if that is older: else messages would be lost
                self._groups.make_durable(group)
            if one.changed_ms <= group.changed_ms:
                return True
            if group.present:
                return not one.forgotten
            if one.forgotten:
                self._groups.forget(one.name, one.changed_ms)
            else:
                self._groups.renew(group, one.bindings, one.changed_ms)
        elif record is not None and record.changed_ms >= one.changed_ms:
            return True
        elif one.forgotten:
            self._groups.forget(one.name, one.changed_ms)
        else:
            group = self._groups.make_group(one.name, one.bindings, durable=True)
            self._groups.renew(group, one.bindings, one.changed_ms)
        return True

    def _on_change(self) -> None:
        if not self._merging:  # another stream sends its changes to all streams itself
            self._changes += 1
            self._changed.set()
            self._changed = asyncio.Event()

    def _on_peer(self, change: DirectoryChange, peer: Advertisement) -> None:
        if peer.socket_id == self._own.socket_id:
            return
        before = self._tasks.pop(peer.socket_id, None)
        if before is not None:
            before.cancel()
        if change is DirectoryChange.UP:
            name = f"stream {self._topic} groups"
            self._tasks[peer.socket_id] = self._runtime.spawn(self._exchange_changes(peer), name)

    async def _exchange_changes(self, peer: Advertisement) -> None:
        """Exchange groups with another stream now and after each change, until cancelled."""
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
                    "%s and this stream cannot exchange their consumer groups: %s", peer, error
                )
            await asyncio.sleep(min(_PAUSE_S * failures, _LONGEST_PAUSE_S))

    async def _exchange(self, peer: Advertisement) -> ColugoError | None:
        """Send the groups of this stream and merge the answer; return the error if that fails."""
        error = ColugoError("the endpoint of its node is not known")
        nodes = [node for node in self._runtime.registry.nodes if node.node_id == peer.node_id]
        for endpoint in [endpoint for node in nodes for endpoint in node.endpoints]:
            try:
                for part in _parts(self.groups()):
                    arguments = {"topic": self._topic, "socket": peer.socket_id.hex(), "groups": part}
                    self.merge(await ask(self._runtime.sockets, endpoint, QUESTION, _ASK_MS, arguments))
            except ColugoError as failure:
                error = failure
            else:
                return None
        return error


def _parts(news: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Split groups into parts that fit into a question; at least one part."""
    parts: list[list[dict[str, Any]]] = [[]]
    size = 0
    for one in news:
        size += len(msgspec.json.encode(one))
        if size > _PART_BYTES and parts[-1]:
            parts.append([])
            size = 0
        parts[-1].append(one)
    return parts

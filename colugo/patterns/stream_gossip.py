"""How the streams of a topic tell each other which consumer groups there are, or are no more."""

import asyncio
from typing import Any

import msgspec

from colugo.errors import ColugoError, FrameError
from colugo.net.directory import Change
from colugo.net.node_endpoint import ask
from colugo.net.registry import Watch
from colugo.net.runtime import Runtime
from colugo.patterns.keeper import Keeper
from colugo.protocol.advertisement import Advertisement
from colugo.protocol.bindings import Bindings
from colugo.protocol.message_parts import check_group

QUESTION = "stream-groups"
_ASK_MS = 2000
_PAUSE_S = 0.5
_TRIES = 6
_MAX_GROUPS = 10_000


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
    changed_ms: int


class StreamGossip:
    """Asks each other stream of the topic that appears which groups it knows, and tells it of its own.

    So a message waits for a group whose members are all away, though they have never met this stream.
    Between two nodes the newer word counts.

    Args:
        runtime: the node's.
        topic: of the stream.
        own: its advertisement.
        keeper: of the stream.
    """

    def __init__(self, runtime: Runtime, topic: str, own: Advertisement, keeper: Keeper) -> None:
        self._runtime = runtime
        self._topic = topic
        self._own = own
        self._keeper = keeper
        self._watch = Watch(own.kind, topic, self._on_change)
        self._asking: dict[bytes, asyncio.Task[Any]] = {}

    def open(self) -> None:
        """Begin, on the loop."""
        self._runtime.registry.watch(self._watch)

    def close(self) -> None:
        """Ask no more."""
        self._runtime.registry.unwatch(self._watch)
        for task in self._asking.values():
            task.cancel()

    def tell(self) -> list[dict[str, Any]]:
        """The durable groups that this stream knows, and those that it knows to be retired."""
        keeper = self._keeper
        known = [
            GroupNews(group.name, list(group.bindings.patterns), forgotten=False, changed_ms=group.changed_ms)
            for group in keeper.groups.values()
            if group.durable
        ]
        known += [
            GroupNews(record.name, ["#"], forgotten=True, changed_ms=record.changed_ms)
            for record in keeper.forgotten.values()
        ]
        plain: list[dict[str, Any]] = msgspec.to_builtins(known)
        return plain

    def hear(self, news: Any) -> None:
        """Take in what another stream knows.

        Raises:
            FrameError: if that is none.
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
            self._hear_of(one)

    def _hear_of(self, one: GroupNews) -> None:
        keeper = self._keeper
        group = keeper.groups.get(one.name)
        record = keeper.forgotten.get(one.name)
        if group is not None:
            if one.forgotten and one.changed_ms > group.changed_ms and not group.present:
                keeper.forget(one.name, one.changed_ms)
        elif record is not None and record.changed_ms >= one.changed_ms:
            return
        elif one.forgotten:
            keeper.forget(one.name, one.changed_ms)
        else:
            keeper.make_group(one.name, one.bindings, durable=True).changed_ms = one.changed_ms

    def _on_change(self, change: Change, peer: Advertisement) -> None:
        if peer.socket_id == self._own.socket_id:
            return
        before = self._asking.pop(peer.socket_id, None)
        if before is not None:
            before.cancel()
        if change is Change.UP:
            self._asking[peer.socket_id] = task = self._runtime.spawn(
                self._ask(peer), f"stream {self._topic} groups"
            )
            task.add_done_callback(lambda _: self._asked(peer.socket_id, task))

    def _asked(self, socket_id: bytes, task: asyncio.Task[Any]) -> None:
        if self._asking.get(socket_id) is task:
            del self._asking[socket_id]

    async def _ask(self, peer: Advertisement) -> None:
        """Ask the node of another stream, a few times if need be: it may not be known or open yet."""
        error: ColugoError = ColugoError("its node's own endpoint is not known")
        for number in range(_TRIES):
            if number:
                await asyncio.sleep(_PAUSE_S * number)
            for node in self._runtime.registry.nodes:
                if node.node_id != peer.node_id:
                    continue
                for endpoint in node.endpoints:
                    try:
                        arguments = {
                            "topic": self._topic,
                            "socket": peer.socket_id.hex(),
                            "groups": self.tell(),
                        }
                        self.hear(await ask(self._runtime.sockets, endpoint, QUESTION, _ASK_MS, arguments))
                    except ColugoError as failure:
                        error = failure
                    else:
                        return
        self._runtime.logger.warning("%s has not told which consumer groups it knows: %s", peer, error)

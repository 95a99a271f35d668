"""The streams of running nodes."""

from typing import Any, Self

from colugo.cli.network.gather import GatherOptions, gather
from colugo.cli.stream.access import Found
from colugo.diagnosis.facts import Facts
from colugo.errors import ConfigurationError, RemoteError
from colugo.net.node_endpoint import ask
from colugo.protocol.advertisement import SocketKind
from colugo.protocol.topics import TopicPattern

_ASK_MS = 60_000
"""Long, because deleting a million dead letters takes a while."""


class OverNetwork:
    """Access to the running streams in a realm: of a topic (None: all), and of a node by name or id."""

    def __init__(self, options: GatherOptions, topic: str | None, node: str | None) -> None:
        self._options = options
        self._pattern = TopicPattern("#" if topic is None else topic)
        self._node = node
        self._sockets = options.config().sockets()

    async def streams(self) -> tuple[list[Found], dict[str, str]]:
        """Find the streams of the topic, sorted by topic and node."""
        facts = (await gather(self._options)).own_realm
        found = [
            Found(stream, facts.label(uuid), facts.answered_at[uuid])
            for uuid, node in facts.nodes.items()
            if node.realm == facts.realm and self._matches(uuid, node.name)
            for stream in node.streams
            if self._pattern.matches(stream.topic)
        ]
        found.sort(key=lambda one: (one.stream.topic, one.node))
        return found, self._silent(facts)

    async def ask(self, found: Found, question: str, **arguments: Any) -> Any:
        """Ask the stream's node."""
        arguments |= {"topic": found.stream.topic, "socket": found.stream.socket_id}
        try:
            return await ask(self._sockets, found.endpoint, question, _ASK_MS, arguments)
        except RemoteError as error:
            if error.type_name in {"ConfigurationError", "TopicError"}:
                raise ConfigurationError(f"{found.name}: {error.message}") from error
            raise

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._sockets.close()

    def _matches(self, uuid: str, name: str) -> bool:
        return self._node is None or self._node == name or uuid.startswith(self._node)

    def _silent(self, facts: Facts) -> dict[str, str]:
        return {
            f"{one.topic} of node {one.node}": facts.silent[one.node_id]
            for one in facts.sockets.values()
            if one.kind == SocketKind.STREAM
            and one.node_id in facts.silent
            and one.realm == facts.realm
            and self._matches(one.node_id, one.node)
            and self._pattern.matches(one.topic)
        }

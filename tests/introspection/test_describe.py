"""A node's description has each counter of its parts' stats."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar

from colugo.introspection.describe import describe
from colugo.patterns.base import Part
from colugo.patterns.requests.client_base import ClientBase
from colugo.patterns.requests.server_base import ServerBase
from colugo.protocol.description.socket_descriptions import PartDescription, StatsDescription
from colugo.testing import Network
from tests.support.essentials import run, until

T = TypeVar("T")


def subclasses(of: type[T]) -> set[type[T]]:
    """List all classes that descend from one."""
    children: list[type[T]] = of.__subclasses__()
    return {one for child in children for one in (child, *subclasses(child))}


def counters(stats: Any) -> dict[str, Any]:
    """List the counters of a stats object by name."""
    values = {field.name: getattr(stats, field.name) for field in fields(stats)}
    return {name: value for name, value in values.items() if not isinstance(value, Mapping)}


def assert_has_each(description: StatsDescription, stats: object) -> None:
    """Fail if a counter is missing from the description, or has another value there."""
    names = description.renamed
    told = {name: getattr(description, names.get(name, name)) for name in counters(stats)}
    assert told == counters(stats)


def test_each_counter_of_the_stats_of_each_kind_of_part_is_in_its_description() -> None:
    async def main() -> None:
        network = Network()
        async with network.node("a") as node:
            publisher = node.add_publisher("p")
            subscriber = node.add_subscriber("p", lambda _: None)
            node.add_reply_server("r", lambda message: message)
            client = node.add_request_client("r")
            node.add_respondent("s", lambda message: message)
            surveyor = node.add_surveyor("s")
            stream = node.add_stream("o")
            consumer = node.add_consumer("o", lambda _: None, group="billing")
            for side in (publisher, subscriber, client, surveyor, consumer):
                await side.ready()
            publisher.send("x")
            await client.request("x")
            await surveyor.survey("x")
            stream.send("x")
            await until(lambda: subscriber.stats.received == 1 and consumer.stats.acknowledged == 1)
            await until(lambda: stream.groups["billing"].done == 1)

            described = {type(part) for part in node._runtime.parts if part.describe() is not None}
            bases = {ClientBase, ServerBase}
            assert described == {kind for kind in subclasses(Part) - bases if hasattr(kind, "stats")}
            for part in node._runtime.parts:
                description = part.describe()
                if isinstance(description, PartDescription):
                    assert_has_each(description, part.stats)  # type: ignore[attr-defined]

            answer = describe(node._runtime)
            tags = {kind.tag for kind in subclasses(PartDescription) if "tag" in vars(kind)}
            assert {tag: len(getattr(answer, tag)) for tag in tags} == dict.fromkeys(tags, 1)
            assert len(answer.parts) == len(described) == len(tags)
            (group,) = answer.streams[0].groups
            assert_has_each(group, stream.groups["billing"])
            (link,) = answer.subscribers[0].links
            (by_publisher,) = subscriber.stats.by_publisher.values()
            assert {name: getattr(link, name) for name in counters(by_publisher)} == counters(by_publisher)

    run(main())


def test_a_counter_that_the_stats_name_otherwise_keeps_its_name_in_the_description() -> None:
    async def main() -> None:
        network = Network()
        async with network.node("a") as node:
            node.add_respondent("s", lambda message: message)
            surveyor = node.add_surveyor("s")
            await surveyor.ready()
            await surveyor.survey("x")
            answer = describe(node._runtime)
            (told,) = answer.surveyors
            assert (told.sent, told.replies, told.timeouts, told.lost, told.servers) == (1, 1, 0, 0, 1)
            (answering,) = answer.respondents
            assert (answering.requests, answering.replies) == (1, 1)

    run(main())

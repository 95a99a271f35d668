"""The command `colugo target`."""

from typing import Any

import click
import msgspec

from colugo.cli.distributor.distributor_options import ANY_SPELLING
from colugo.cli.distributor.endpoint_options import EXIT_STATUS, EndpointOptions, endpoint_options
from colugo.cli.distributor.running import run_distributor, run_endpoint
from colugo.cli.distributor.stopping import Stopping
from colugo.distributor import Distributor
from colugo.distributor.sources.topic_source import TopicSource
from colugo.node import Node
from colugo.patterns.streams.consuming.consumer import DEFAULT_PREFETCH, Consumer


@click.command(
    context_settings=ANY_SPELLING,
    epilog=f"""{EXIT_STATUS}\b
Examples:
  colugo target console --topic alerts
  colugo target graphite 127.0.0.1:2003 --topic alerts
  colugo target http https://hooks.example/alerts --topic alerts --set timeout_ms=5000
  colugo target file alerts.jsonl --topic alerts --reliable --name archive
""",
)
@endpoint_options("target")
def target(*, options: EndpointOptions) -> None:
    """Hand the messages of a topic to one target.

    TYPE and ARGS are those of `colugo distributor show targets`: console, tcp or udp or graphite HOST:PORT,
    http URL, file PATH, websocket [HOST:]PORT, topic TOPIC, stream TOPIC.

    With --reliable, the topic is a stream of `colugo source --reliable`. The target is a consumer group of
    its name: it acknowledges each message that it has sent, and the stream delivers the others again.
    Targets of one name share the messages.
    """

    async def work(node: Node, stopping: Stopping) -> None:
        made = options.maker.target(options.section)
        distributor = Distributor(node)
        treatment = made.options
        if options.reliable and treatment.retries is None:
            treatment = msgspec.structs.replace(treatment, retries=0)  # the stream does that
        distributor.add_target(made.target, name=options.name, formatter=made.formatter, options=treatment)
        started = f"target {options.name}: started; topic: {options.topic}"
        if not options.reliable:
            distributor.add_source(TopicSource(options.topic), name=options.topic)
            await run_distributor(distributor, stopping, started=started)
            return

        member = _Member(node, distributor, options)
        await run_distributor(
            distributor, stopping, on_start=member.join, on_stop=member.leave, started=started
        )
        await member.finish()

    run_endpoint(options, work)


class _Member:
    """The target as a member of its consumer group."""

    def __init__(self, node: Node, distributor: Distributor, options: EndpointOptions) -> None:
        self._node = node
        self._distributor = distributor
        self._options = options
        self._consumer: Consumer | None = None

    def join(self) -> None:
        """Take messages; the target is open."""
        self._consumer = self._node.add_consumer(
            self._options.topic, self._deliver, group=self._options.name, concurrency=DEFAULT_PREFETCH
        )

    def leave(self) -> None:
        """Take no more messages."""
        if self._consumer is not None:
            self._consumer.quiesce()

    async def finish(self) -> None:
        """Wait until the last messages are acknowledged."""
        if self._consumer is not None:
            await self._consumer.finish()

    async def _deliver(self, message: Any) -> None:
        await self._distributor.deliver(self._options.name, message)

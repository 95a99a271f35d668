"""The command `colugo target`."""

from typing import TYPE_CHECKING, Any

import click
import msgspec

from colugo.cli.distributor.distributor_options import ANY_SPELLING
from colugo.cli.distributor.endpoint_options import EXIT_STATUS, endpoint_options, read_options
from colugo.cli.distributor.running import run_distributor, run_endpoint
from colugo.cli.distributor.stopping import Stopping
from colugo.distributor import Distributor, ThreadedDistributionTarget
from colugo.distributor.sources.topic_source import TopicSource
from colugo.distributor.threaded_target import pool_of
from colugo.node import Node

if TYPE_CHECKING:
    from colugo.patterns.streams.consuming.consumer import Consumer


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
@endpoint_options
def target(**arguments: Any) -> None:
    """Hand the messages of a topic to one target.

    TYPE and ARGS are those of `colugo distributor show targets`: console, tcp or udp or graphite HOST:PORT,
    http URL, file PATH, websocket [HOST:]PORT, topic TOPIC, stream TOPIC.

    With --reliable, the topic is a stream of `colugo source --reliable`. The target is a consumer group of
    its name: it acknowledges each message that it has sent, and the stream delivers the others again.
    Targets of one name share the messages.
    """
    options = read_options("target", **arguments)

    async def work(node: Node, stopping: Stopping) -> None:
        made = options.maker.target(options.section)
        distributor = Distributor(node)
        treatment = made.options
        if options.reliable:  # the stream keeps messages, and repeats those that fail
            treatment = msgspec.structs.replace(treatment, full="wait", retries=treatment.retries or 0)
        distributor.add_target(made.target, name=options.name, formatter=made.formatter, options=treatment)
        started = f"target {options.name}: started; topic: {options.topic}"
        if not options.reliable:
            distributor.add_source(TopicSource(options.topic), name=options.topic)
            await run_distributor(distributor, stopping, started=started)
            return

        async def deliver(message: Any) -> None:
            await distributor.deliver(options.name, message)

        # No more than are being sent, and the next one: the others stay the stream's if the command stops.
        threads = pool_of(made.target).workers if isinstance(made.target, ThreadedDistributionTarget) else 1
        consumers: list[Consumer] = []

        def join() -> None:
            consumers.append(
                node.add_consumer(options.topic, deliver, group=options.name, concurrency=threads + 1)
            )

        def leave() -> None:
            for consumer in consumers:
                consumer.quiesce()

        await run_distributor(distributor, stopping, on_start=join, on_stop=leave, started=started)
        for consumer in consumers:
            await consumer.finish()

    run_endpoint(options, work)

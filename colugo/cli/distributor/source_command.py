"""The command `colugo source`."""

import asyncio
from contextlib import suppress
from typing import Any

import click

from colugo.cli.distributor.distributor_options import ANY_SPELLING
from colugo.cli.distributor.endpoint_options import (
    EXIT_STATUS,
    EndpointOptions,
    endpoint_options,
    read_options,
)
from colugo.cli.distributor.running import run_distributor, run_endpoint, wait_for_the_end
from colugo.cli.distributor.stopping import Stopping
from colugo.cli.distributor.stored_feed import StoredFeed
from colugo.diagnosis.number_formats import count
from colugo.distributor import (
    AbstractDistributionSource,
    Distributor,
    StdinSource,
    TcpSource,
    TimerSource,
    TopicSource,
    TopicTarget,
    UdpSource,
    WebhookSource,
    WebSocketSource,
)
from colugo.distributor.node_mixin import NodeMixin
from colugo.node import Node
from colugo.patterns.streams.stream import Stream

_MAX_DELIVER = 20
_AHEAD = 1000
_UNANSWERED = (StdinSource, TcpSource, TimerSource, TopicSource, UdpSource, WebSocketSource)
"""Sources that nobody tells if a message is stored."""


@click.command(
    context_settings=ANY_SPELLING,
    epilog=f"""{EXIT_STATUS}\b
Examples:
  colugo source websocket wss://alerts.example/feed --topic alerts
  colugo source webhook 8080 --topic alerts --set secret=s3cret
  colugo source file /var/log/app.log --topic logs --set state=app.place
  colugo source tcp 9000 --topic alerts --reliable --store alerts.db --group graphite
""",
)
@endpoint_options
@click.option(
    "--store",
    type=click.Path(dir_okay=False),
    metavar="FILE",
    help="Store messages in this file, so that they survive a restart.  [default: in memory]",
)
@click.option(
    "--group",
    "groups",
    multiple=True,
    metavar="NAME",
    help="Keep messages for this target from the beginning, even if it has never run.  [repeatable]",
)
@click.option(
    "--max-deliver",
    type=click.IntRange(min=1),
    default=_MAX_DELIVER,
    show_default=True,
    help="How often a target tries a message before it becomes a dead letter.",
)
def source(*, store: str | None, groups: tuple[str, ...], max_deliver: int, **arguments: Any) -> None:
    """Publish the messages of a source.

    Targets in other processes find it by the topic. TYPE and ARGS are those of `colugo distributor show
    sources`: websocket URL, tcp or udp or webhook [HOST:]PORT, file PATH, stdin, topic TOPIC, stream TOPIC,
    timer INTERVAL_MS.

    With --reliable, the topic is a stream. It keeps each message until all targets have sent it. With
    --store, messages survive a crash. When standard input ends, the command runs until everything is sent.
    `colugo stream` lists and resurrects dead letters.
    """
    options = read_options("source", **arguments)
    if not options.reliable and (store is not None or groups):
        raise click.UsageError("--store and --group need --reliable")

    async def work(node: Node, stopping: Stopping) -> None:
        made = options.maker.source(options.section)
        if options.reliable:
            stream = node.add_stream(
                options.topic, store=store, groups=groups, full="wait", max_deliver=max_deliver
            )
            await _store(made, stream, node, options, stopping)
            return
        distributor = Distributor(node)
        distributor.add_source(made, name=options.name)
        distributor.add_target(TopicTarget(options.topic), name=options.topic)
        await run_distributor(distributor, stopping)

    run_endpoint(options, work)


async def _store(
    source: AbstractDistributionSource,
    stream: Stream,
    node: Node,
    options: EndpointOptions,
    stopping: Stopping,
) -> None:
    """Store the messages of a source until it is stopped."""
    if isinstance(source, NodeMixin):
        source.attach(node)
    feed = StoredFeed(
        stream,
        ahead=_AHEAD if isinstance(source, _UNANSWERED) else 0,
        retry=not isinstance(source, WebhookSource),
    )
    source.set_on_message(feed.put)
    source.open()
    click.echo(f"source {options.name}: started; topic: {options.topic}", err=True)

    async def deliver_the_rest() -> None:
        await wait_for_the_end(lambda: [source])
        await feed.finished()
        await stream.drained()
        stopping.request()

    ending = asyncio.create_task(deliver_the_rest(), name="end of the source")
    await stopping.requested()
    ending.cancel()
    stopping.report = lambda: _print_end(options.name, feed, stream)
    source.close(AbstractDistributionSource.DISCONNECT_SHUTDOWN, "the command stops")
    with suppress(TimeoutError):
        async with asyncio.timeout(stopping.left_ms / 1000):
            await feed.finished()
            if stream.store is None:
                await stream.drained()
    stopping.report()


def _print_end(name: str, feed: StoredFeed, stream: Stream) -> None:
    kept = stream.stats.messages
    where = f"stored in {stream.store}" if stream.store is not None else "lost, because no --store was given"
    lines = [f"source {name}: {count(feed.stored, 'message')} stored"]
    if feed.pending:
        lines.append(f"source {name}: {count(feed.pending, 'message')} not stored")
    if kept:
        lines.append(f"stream {stream.topic}: {count(kept, 'undelivered message')} {where}")
    click.echo("\n".join(lines), err=True)

"""Checks of the counters of nodes and streams: failures, drops, dead letters and malformed frames."""

from collections.abc import Iterator

from colugo.diagnosis.facts import Facts
from colugo.diagnosis.finding import Finding, Level
from colugo.diagnosis.number_formats import count
from colugo.diagnosis.pairs import Sides
from colugo.protocol.description.stream_descriptions import ConsumerDescription, StreamDescription


def counters(facts: Facts) -> Iterator[Finding]:
    """Check the counters that belong to a single node rather than a pair."""
    for uuid, node in facts.nodes.items():
        name = facts.label(uuid)
        if node.callback_errors:
            text = f"{count(node.callback_errors, 'callback')} of node {name} raised"
            yield Finding(Level.WARNING, "callbacks", text, "see its log for the tracebacks")
        for server in (*node.reply_servers, *node.respondents):
            if server.dropped:
                what = count(server.dropped, "reply", "replies")
                noun = "reply server" if server in node.reply_servers else "respondent"
                text = f"node {name}'s {noun} of {server.topic} dropped {what}"
                yield Finding(Level.WARNING, server.topic, text, "its clients disconnected or do not read")
        for part in (*node.connecting, *node.reply_servers, *node.respondents, *node.streams):
            if part.malformed:
                text = f"node {name} received {count(part.malformed, 'malformed frame')} on {part.topic}"
                advice = "another kind of program, or another version of colugo, sends to its port"
                yield Finding(Level.WARNING, part.topic, text, advice)


def streams(facts: Facts) -> Iterator[Finding]:
    """Check all streams for unconsumed, dead, rejected and dropped messages."""
    for uuid, node in facts.nodes.items():
        for stream in node.streams:
            yield from kept(facts.label(uuid), stream)


def kept(node: str, stream: StreamDescription) -> Iterator[Finding]:
    """Check one stream of a node for unconsumed, dead, rejected and dropped messages."""
    name = f"node {node}'s stream of {stream.topic}"
    for group in stream.groups:
        if group.durable and not group.members and group.waiting:
            kept_for = f"keeps {count(group.waiting, 'message')} for group {group.name}"
            text = f"{name} {kept_for}, which has no consumer"
            command = f"colugo stream forget {stream.topic} {group.name}"
            advice = f"start a consumer in the group; if the group is gone for good, run `{command}`"
            yield Finding(Level.WARNING, stream.topic, text, advice)
    if stream.dead:
        text = f"{name} has {count(stream.dead, 'dead letter')}"
        advice = (
            f"list them with `colugo stream dead {stream.topic}`; fix the cause, then resurrect or purge them"
        )
        yield Finding(Level.WARNING, stream.topic, text, advice)
    if stream.rejected:
        text = f"{name} was full and rejected {count(stream.rejected, 'message')}"
        advice = "its consumers are too slow: start more, or raise its limits"
        yield Finding(Level.WARNING, stream.topic, text, advice)
    if stream.dropped or stream.expired:
        gone = count(stream.dropped + stream.expired, "message")
        text = f"{name} dropped {gone} before they were acknowledged, "
        text += f"{stream.dropped:,} because it was full and {stream.expired:,} because they expired"
        advice = "its consumers are too slow or were away: start more, or raise its limits"
        yield Finding(Level.WARNING, stream.topic, text, advice)


def deliveries(consumer: ConsumerDescription, names: Sides) -> Finding:
    """Report the deliveries from a stream to a connected consumer."""
    text = f"{names.offering} → {names.wanting}: connected, {count(consumer.received, 'message')}"
    if not consumer.failed:
        return Finding(Level.OK, names.check, f"{text}, none failed")
    text += f", {count(consumer.failed, 'callback')} failed"
    advice = "see its log for the tracebacks; a message that keeps failing becomes a dead letter"
    return Finding(Level.WARNING, names.check, text, advice)

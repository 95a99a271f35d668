"""Streams: what is handed over, whom messages wait for, and what was let go."""

from collections.abc import Iterator

from colugo.diagnosis.facts import Facts
from colugo.diagnosis.finding import Finding, Level
from colugo.diagnosis.pairs import Sides
from colugo.diagnosis.wording import count
from colugo.protocol.description.stream_descriptions import ConsumerDescription, StreamDescription


def deliveries(consumer: ConsumerDescription, names: Sides) -> Finding:
    """What to say of a stream and a consumer that are connected and understand each other."""
    text = f"{names.offering} → {names.wanting}: connected, {count(consumer.received, 'message')}"
    if not consumer.failed:
        return Finding(Level.OK, names.check, f"{text}, none failed")
    text += f", {count(consumer.failed, 'callback')} failed"
    advice = "its log has the tracebacks; what fails again and again becomes a dead letter of the stream"
    return Finding(Level.WARNING, names.check, text, advice)


def counters(facts: Facts) -> Iterator[Finding]:
    """What streams keep for nobody, and what they have let go or not taken in."""
    for uuid, node in facts.nodes.items():
        for stream in node.streams:
            yield from kept(facts.label(uuid), stream)


def kept(node: str, stream: StreamDescription) -> Iterator[Finding]:
    """What one stream keeps that nobody fetches, and what it has let go or not taken in.

    Args:
        node: the label of its node.
        stream: what that says of it.
    """
    who = f"node {node}'s stream of {stream.topic}"
    for group in stream.groups:
        if group.durable and not group.members and group.waiting:
            kept_for = f"keeps {count(group.waiting, 'message')} for group {group.name}"
            text = f"{who} {kept_for}, which has no member"
            command = f"colugo stream forget {stream.topic} {group.name}"
            advice = f"start a consumer of it; if it is gone for good: `{command}`"
            yield Finding(Level.WARNING, stream.topic, text, advice)
    if stream.dead:
        text = f"{who} has {count(stream.dead, 'dead letter')}"
        advice = f"see `colugo stream dead {stream.topic}`; mend what fails, then resurrect or purge them"
        yield Finding(Level.WARNING, stream.topic, text, advice)
    if stream.rejected:
        text = f"{who} was full and has not taken in {count(stream.rejected, 'message')}"
        advice = "its consumers do not keep up: start more, or raise its limits"
        yield Finding(Level.WARNING, stream.topic, text, advice)
    if stream.dropped or stream.expired:
        gone = count(stream.dropped + stream.expired, "message")
        text = f"{who} let go {gone} that had to be acknowledged, "
        text += f"{stream.dropped:,} because it was full and {stream.expired:,} because of their age"
        advice = "its consumers do not keep up or were away: start more, or raise its limits"
        yield Finding(Level.WARNING, stream.topic, text, advice)

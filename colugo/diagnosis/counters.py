"""What nodes count against themselves: callbacks that raise, replies and messages that nobody takes."""

from collections.abc import Iterator

from colugo.diagnosis.facts import Facts
from colugo.diagnosis.finding import Finding, Level
from colugo.diagnosis.wording import count


def counters(facts: Facts) -> Iterator[Finding]:
    """What belongs to no pair of two nodes."""
    for uuid, node in facts.nodes.items():
        name = facts.label(uuid)
        if node.callback_errors:
            text = f"{count(node.callback_errors, 'callback')} of node {name} raised"
            yield Finding(Level.WARNING, "callbacks", text, "its log has the tracebacks")
        for server in (*node.reply_servers, *node.respondents):
            if server.dropped:
                what = count(server.dropped, "reply", "replies")
                noun = "reply server" if server in node.reply_servers else "respondent"
                text = f"node {name}'s {noun} of {server.topic} dropped {what}"
                yield Finding(Level.WARNING, server.topic, text, "its clients had gone, or do not read")
        for part in (*node.connecting, *node.reply_servers, *node.respondents, *node.streams):
            if part.malformed:
                text = f"node {name} got {count(part.malformed, 'malformed frame')} on {part.topic}"
                advice = "something that is not colugo, or of another version, sends to its port"
                yield Finding(Level.WARNING, part.topic, text, advice)

"""Checks of the nodes' error counters: failed callbacks, dropped replies and malformed frames."""

from collections.abc import Iterator

from colugo.diagnosis.facts import Facts
from colugo.diagnosis.finding import Finding, Level
from colugo.diagnosis.wording import count


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

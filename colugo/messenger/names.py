"""What messengers and relays call things, so that they meet."""

TOPIC = "messenger"
"""Of the streams, and of what is published to whoever listens."""
RELAY_TOPIC = "messenger.relay"
"""Of the requests by which relays take messages over."""
GIVEN_TOPIC = "messenger.given"
"""Nobody advertises it: whoever uses it is connected to the endpoints it was given, and to no others."""
SEND_PORT = 7202
SUB_PORT = 7201
"""Of Mezzenger's server."""
PING = b"ping"
ANSWER = b"OK"
MEETING_S = 0.3
"""How long others on the network may take to be discovered: so long the first messages wait."""
MAX_DELIVER = 10
"""How often a message is tried in one process before it is a dead letter: over four minutes or more."""


def passing_key(name: str) -> str:
    """The key of a message that a relay's stream hands only to who listens now; no name has a `|`."""
    return f"|{name}"


MOST_WAITING = 100_000
"""How many messages with `ack=0` may wait for one who listens, on either side."""

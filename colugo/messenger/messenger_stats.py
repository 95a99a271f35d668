"""The counters of messengers and relays."""

from dataclasses import dataclass

from colugo.patterns.streams.stream_stats import StreamStats


@dataclass(frozen=True, slots=True)
class MessengerStats:
    """The counters of a messenger.

    Attributes:
        published: messages with `ack=0` that were sent.
        stored: messages with `ack=1` that were stored, here or at a relay.
        handed_over: messages stored here that a relay has taken over since.
        kept: messages stored here now.
        dead: messages stored here that were given up, after ten tries in one process.
        handled: messages that a callback has returned from.
        failed: callbacks that raised.
        duplicates: redelivered messages that a callback had handled already; they were dropped.
        unwanted: messages that arrived after the end of their name's subscription.
        lost: messages with `ack=0`, of any name, that were dropped because more than 100,000 waited for
            callbacks.
        malformed: received bytes that were no message, or whose checksum did not match.
        undecodable: messages of another codec.
        relays: relays that are connected.
    """

    published: int
    stored: int
    handed_over: int
    kept: int
    dead: int
    handled: int
    failed: int
    duplicates: int
    unwanted: int
    lost: int
    malformed: int
    undecodable: int
    relays: int


@dataclass(frozen=True, slots=True)
class RelayStats:
    """The counters of a relay.

    Attributes:
        taken: messages with `ack=1` that it has taken over.
        again: duplicates, of either kind; they were not taken or passed on a second time.
        passed: messages with `ack=0` that it has passed on.
        refused: messages that it could not store.
        malformed: requests that were no message of a messenger.
        stream: the counters of its stream.
    """

    taken: int
    again: int
    passed: int
    refused: int
    malformed: int
    stream: StreamStats

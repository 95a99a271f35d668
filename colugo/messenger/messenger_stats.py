"""What a messenger has done."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MessengerStats:
    """What a messenger has done.

    Attributes:
        published: messages with `ack=0` that were sent.
        stored: messages with `ack=1` that were stored, here or at a relay.
        handed_over: of those stored here, how many a relay has taken over since.
        kept: how many are stored here now, and wait for somebody.
        dead: how many of them were given up, after ten tries in one process.
        handled: messages that a callback has returned from.
        failed: calls of callbacks that raised.
        duplicates: messages that came again, though a callback had handled them; they were not handed over.
        unwanted: messages that came when their name's subscription had ended.
        lost: messages with `ack=0`, of whatever name, that came faster than callbacks returned: more than
            100,000 waited.
        malformed: what was no message, or had been changed on its way (its checksum did not fit).
        undecodable: messages of another codec.
        relays: how many relays are connected.
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

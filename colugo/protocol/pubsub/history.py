"""The newest messages of a publisher, kept for subscribers that join late. Pure."""

from collections import deque
from itertools import count, groupby, repeat
from operator import itemgetter
from typing import Any

from colugo.protocol.frames import BATCH_BYTES, MAX_COUNT, FrameKind
from colugo.protocol.pubsub.publications import (
    ALL_SUBSCRIBERS,
    FLAG_CONFLATE,
    FLAG_END,
    FLAG_LARGE,
    FLAG_TEXT,
    FLAG_WAIT,
    encode_publication,
    is_large,
)

_KEPT_FLAGS = FLAG_TEXT | FLAG_WAIT


class History:
    """The last messages, as frames for one subscriber.

    Args:
        publisher: the publisher's id.
        retain: how many messages a late joiner receives.
        conflate: True to keep the newest message in any case, for subscribers that were behind.
    """

    def __init__(self, publisher: bytes, retain: int, *, conflate: bool = False) -> None:
        self._publisher = publisher
        self._retain = retain
        self._flags = FLAG_CONFLATE if conflate else 0
        self._messages: deque[tuple[int, Any, int, int]] = deque(maxlen=max(retain, 1 if conflate else 0))

    def add(self, first: int, payloads: list[Any], flags: int, sent_ns: int) -> None:
        """Add messages that have been sent.

        Args:
            first: the sequence number of the first message.
            payloads: the payloads; a buffer that may change is copied.
            flags: the frame's flags, of which FLAG_TEXT and FLAG_WAIT are kept.
            sent_ns: the time of sending, nanoseconds since 1970.
        """
        left_out = max(0, len(payloads) - (self._messages.maxlen or 0))
        kept = [bytes(payload) for payload in payloads[left_out:]]
        self._messages.extend(
            zip(count(first + left_out), kept, repeat(flags & _KEPT_FLAGS), repeat(sent_ns))
        )

    def first(self, following: int) -> int:
        """Return the sequence number with which a late joiner begins.

        Args:
            following: the sequence number of the next message.
        """
        return self._messages[0][0] if self._retain and self._messages else following

    def frames(self) -> list[list[bytes]]:
        """Return the retained messages for a late joiner, in ZeroMQ messages of one or two frames."""
        if not self._retain:
            return []
        return [
            self._encode(list(batch), self._flags, ALL_SUBSCRIBERS)
            for _, group in groupby(self._messages, itemgetter(2, 3))
            for batch in _batches(list(group))
        ]

    def newest(self, segment: int) -> list[bytes]:
        """Return the newest message for a subscriber that was behind, when the publisher conflates.

        Args:
            segment: the segment that the subscriber is to acknowledge.
        """
        return self._encode([self._messages[-1]], FLAG_END | self._flags, segment)

    def _encode(self, messages: list[tuple[int, Any, int, int]], flags: int, segment: int) -> list[bytes]:
        first, payload, text, sent_ns = messages[0]
        large = len(messages) == 1 and is_large(payload)
        frame = encode_publication(
            self._publisher,
            first,
            sent_ns,
            [message[1] for message in messages],
            kind=FrameKind.RETAINED,
            flags=flags | text | (FLAG_LARGE if large else 0),
            segment=segment,
        )
        return [frame, payload] if large else [frame]


def _batches(messages: list[tuple[int, Any, int, int]]) -> list[list[tuple[int, Any, int, int]]]:
    """Split messages into batches of consecutive numbers within the limits; a large message is alone."""
    batches: list[list[tuple[int, Any, int, int]]] = []
    room = 0
    expected = -1
    for message in messages:
        size = len(message[1])
        if size > room or message[0] != expected or is_large(message[1]) or len(batches[-1]) == MAX_COUNT:
            batches.append([])
            room = 0 if is_large(message[1]) else BATCH_BYTES
        batches[-1].append(message)
        room -= size
        expected = message[0] + 1
    return batches

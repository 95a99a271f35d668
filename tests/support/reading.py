"""Frames read as their receivers do; what is accepted has to be consistent."""

from typing import Any

from colugo.protocol.frames import FrameKind
from colugo.protocol.pubsub.publications import Publication, decode_publication, encode_publication
from colugo.protocol.requests.calls import Calls, decode_calls, encode_calls
from colugo.protocol.streams.deliveries import (
    FLAG_REDELIVERED,
    Deliveries,
    decode_deliveries,
    encode_deliveries,
)
from colugo.protocol.streams.settlements import Settle, decode_settle, encode_settle
from colugo.protocol.streams.stream_message import FLAG_TEXT, StreamMessage


def read_publication(frame: Any, start: int = 0, large: Any = None) -> Publication:
    """A frame of publish/subscribe, which encodes to the same bytes again.

    Raises:
        FrameError: if it is refused.
    """
    got = decode_publication(frame, start, large)
    payloads = got.payloads()
    again = encode_publication(
        got.publisher,
        got.first_sequence,
        got.sent_ns,
        payloads,
        kind=got.kind,
        flags=got.flags,
        segment=got.segment,
    )
    assert again == frame[start:]
    assert large is None or (len(payloads) == 1 and payloads[0] is large)
    assert [len(payload) for payload in payloads] == list(got.lengths)
    if payloads:
        texts = got.texts()
        assert (texts is not None) is b"".join(payloads).isascii()
        assert texts is None or [text.encode() for text in texts] == payloads
    return got


def read_calls(frame: bytes, kind: FrameKind) -> Calls:
    """A frame of requests or replies, which encodes to the same bytes again.

    Raises:
        FrameError: if it is refused.
    """
    got = decode_calls(frame, kind)
    assert got.kind == kind
    assert encode_calls(kind, got.server, got.calls) == frame
    return got


def messages_of(got: Deliveries) -> list[StreamMessage]:
    """List the messages in a stream's deliveries."""
    flags = [each & FLAG_TEXT for each in got.flags]
    parts = zip(got.seqs, got.keys, got.headers, got.payloads, flags, got.sent_ns, strict=True)
    return [StreamMessage(*each) for each in parts]


def read_deliveries(frame: bytes) -> Deliveries:
    """A frame of messages of a stream, which encodes to the same bytes again.

    Raises:
        FrameError: if it is refused.
    """
    got = decode_deliveries(frame)
    redelivered = [bool(each & FLAG_REDELIVERED) for each in got.flags]
    assert encode_deliveries(got.stream_id, messages_of(got), list(got.attempts), redelivered) == frame
    return got


def read_settle(frame: bytes) -> Settle:
    """A frame that says what has become of messages.

    Raises:
        FrameError: if it is refused.
    """
    got = decode_settle(frame)
    again = encode_settle(*got)
    assert decode_settle(again) == got
    if not any(other.failure for other in got.others):  # msgpack has more than one form for a text
        assert again == frame
    borders = [border for one in got.ranges for border in one]
    assert borders == sorted(borders)
    assert 0 not in borders
    return got

"""A message of a stream."""

from typing import NamedTuple

FLAG_TEXT = 1


class StreamMessage(NamedTuple):
    """One message of a stream.

    Attributes:
        seq: its number in the stream, from 1.
        key: at most 255 bytes of UTF-8 (AMQP's limit for routing keys); `""` for none.
        headers: a msgpack map with `str` keys; `b""` for none; at most 65,535 bytes.
        payload: the encoded message.
        flags: `FLAG_TEXT` for a `str` without a codec.
        sent_ns: the time when it was sent, nanoseconds since 1970.
        group: the only group that gets it, for a resurrected dead letter; `""` for all groups.
    """

    seq: int
    key: str
    headers: bytes
    payload: bytes
    flags: int
    sent_ns: int
    group: str = ""

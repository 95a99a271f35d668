"""A message that a stream keeps."""

from typing import NamedTuple

FLAG_TEXT = 1


class StreamMessage(NamedTuple):
    """One message of a stream.

    Attributes:
        seq: its number in the stream, from 1 on.
        key: `""` for none; at most 255 bytes of UTF-8 (AMQP's limit of routing keys).
        headers: a msgpack map with `str` keys; `b""` for none; at most 65,535 bytes.
        payload: what the codec made of it.
        flags: `FLAG_TEXT` if it was sent as `str`.
        sent_ns: when it was sent, in nanoseconds since 1970.
        group: only this group gets it (a resurrected dead letter); `""` for all.
    """

    seq: int
    key: str
    headers: bytes
    payload: bytes
    flags: int
    sent_ns: int
    group: str = ""

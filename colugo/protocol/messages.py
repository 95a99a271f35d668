"""A message that a stream keeps."""

from typing import NamedTuple

FLAG_TEXT = 1


class Message(NamedTuple):
    """A message that a stream keeps.

    Attributes:
        seq: its sequence number, from 1 on; never used again in one store.
        key: "" for none; at most 255 bytes of UTF-8 (AMQP's limit of a routing key).
        headers: a msgpack map with str keys, at most 65,535 bytes; b"" for none.
        payload: the bytes.
        flags: FLAG_TEXT if the payload was a str.
        sent_ns: when it was sent, nanoseconds since 1970.
        group: the only group that it is for, as with a dead letter that was resurrected; "" for all.
    """

    seq: int
    key: str
    headers: bytes
    payload: bytes
    flags: int
    sent_ns: int
    group: str = ""

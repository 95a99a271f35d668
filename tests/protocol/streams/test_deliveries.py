"""The frames of deliveries: they round-trip, and malformed ones are rejected."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from colugo.errors import FrameError
from colugo.protocol.frames import MAX_COUNT, FrameKind
from colugo.protocol.requests.calls import Call, encode_calls
from colugo.protocol.streams.deliveries import (
    FLAG_REDELIVERED,
    MAX_ATTEMPT,
    decode_deliveries,
    encode_deliveries,
)
from colugo.protocol.streams.stream_message import FLAG_TEXT, StreamMessage
from tests.support.memory import peak_bytes
from tests.support.mutation import with_bytes
from tests.support.reading import messages_of, read_deliveries
from tests.support.strategies import socket_ids, texts, uint64

ID = b"stream-1"
NOW = 1_700_000_000_000_000_000
PLAIN = encode_deliveries(
    ID, [StreamMessage(1, "", b"", b"a", FLAG_TEXT, NOW), StreamMessage(2, "", b"", b"bcd", 0, NOW)]
)
KEYS = encode_deliveries(
    ID,
    [
        StreamMessage(258, "lab.door", b"\x81\xa1a\x01", b"open", FLAG_TEXT, NOW),
        StreamMessage(259, "", b"", b"", 0, NOW),
        StreamMessage(2**64 - 1, "tür", b"\x80", b"\xff" * 9, 0, 0),
    ],
    [1, 2, 255],
    [False, True, True],
)
ONE = encode_deliveries(ID, [StreamMessage(7, "k", b"", b"x", 0, NOW)])
REQUEST = encode_calls(FrameKind.REQUEST, ID, [Call(1, 0, b"door")])

messages = st.builds(
    StreamMessage,
    st.integers(1, 2**64 - 1),
    st.just("") | texts.filter(lambda text: len(text.encode()) <= 255),
    st.just(b"") | st.binary(max_size=30),
    st.binary(max_size=50),
    st.sampled_from([0, FLAG_TEXT]),
    uint64,
    st.just(""),
)


def check(frame: bytes) -> bool:
    """Return True if the frame is accepted; then it must be consistent."""
    try:
        read_deliveries(frame)
    except FrameError:
        return False
    return True


# --- the bytes on the wire


def test_the_bytes_of_a_batch_are_those_of_the_documents() -> None:
    some = [StreamMessage(258, "k", b"\x80", b"abc", 1, 5), StreamMessage(259, "né", b"", b"d", 0, 6)]
    assert encode_deliveries(b"\x01\x02\x03\x04\x05\x06\x07\x08", some, [1, 2], [False, True]) == (
        b"\xc1\x00\x02\x34"
        b"\x01\x02\x03\x04\x05\x06\x07\x08"
        b"\x02\x00\x00\x00"
        b"\x02\x01\x00\x00\x00\x00\x00\x00\x03\x01\x00\x00\x00\x00\x00\x00"
        b"\x05\x00\x00\x00\x00\x00\x00\x00\x06\x00\x00\x00\x00\x00\x00\x00"
        b"\x03\x00\x00\x00\x01\x00\x00\x00"
        b"\x01\x00\x03\x00"
        b"\x01\x00\x00\x00"
        b"\x01\x02"
        b"\x01\x02"
        b"kn\xc3\xa9"
        b"\x80"
        b"abcd"
    )


# --- round trips


@given(socket_ids, st.data(), st.lists(messages, min_size=1, max_size=20))
def test_messages_come_back_as_they_were(
    stream_id: bytes, data: st.DataObject, some: list[StreamMessage]
) -> None:
    count = len(some)
    attempts = data.draw(st.none() | st.lists(st.integers(1, 2**40), min_size=count, max_size=count))
    redelivered = data.draw(st.none() | st.lists(st.booleans(), min_size=count, max_size=count))
    got = decode_deliveries(encode_deliveries(stream_id, some, attempts, redelivered))
    assert got.stream_id == stream_id
    assert messages_of(got) == some
    assert list(got.attempts) == [min(attempt, MAX_ATTEMPT) for attempt in attempts or [1] * count]
    assert [bool(flags & FLAG_REDELIVERED) for flags in got.flags] == (redelivered or [False] * count)


@pytest.mark.parametrize("count", [1, 2, 63, 64, 65, 128, 1000, MAX_COUNT])
@pytest.mark.parametrize("size", [0, 3])
@pytest.mark.parametrize("named", [False, True])
def test_any_number_of_messages_of_one_size_comes_back_in_order(
    count: int, size: int, *, named: bool
) -> None:
    some = [
        StreamMessage(
            number + 1, "ab" if named else "", b"h" * size, number.to_bytes(3, "big")[:size], 0, number
        )
        for number in range(count)
    ]
    assert messages_of(decode_deliveries(encode_deliveries(ID, some))) == some


@pytest.mark.parametrize("key", ["x" * 255, "é" * 127, "\x00", "a.b"])
def test_the_longest_keys_headers_and_a_large_payload_come_back(key: str) -> None:
    some = [
        StreamMessage(1, key, b"h" * 65535, b"x" * 300_000, 0, NOW),
        StreamMessage(2, "", b"", b"", 0, NOW),
    ]
    assert messages_of(decode_deliveries(encode_deliveries(ID, some))) == some
    assert messages_of(decode_deliveries(encode_deliveries(ID, some[:1]))) == some[:1]


# --- frames that are none

COLUMNS = 16
SEQS, SENT, SIZES, KEY_SIZES, ATTEMPTS, FLAGS = (COLUMNS + 2 * at for at in (0, 8, 16, 20, 24, 25))

NO_DELIVERIES = [
    (b"", "0 bytes are too few for a DELIVER"),
    (PLAIN[:15], "15 bytes are too few"),
    (b"SSH-2.0-OpenSSH_9.2p1 Debian", "first byte is 0x53, not 0xc1: not a colugo peer"),
    (with_bytes(PLAIN, 2, b"\x01"), "wire format version 1; this is version 2"),
    (with_bytes(PLAIN, 1, b"\x01"), "not a DELIVER: kind 52, second byte 1, 2 messages"),
    (REQUEST, "not a DELIVER: kind 16, second byte 0, 1 messages"),
    (with_bytes(PLAIN, 12, bytes(4)), "not a DELIVER: kind 52, second byte 0, 0 messages"),
    (with_bytes(PLAIN, 12, b"\x01\x00\x01\x00"), "65537 messages in one frame; the limit is 65536"),
    (with_bytes(PLAIN, 12, b"\x09"), "9 messages do not fit into 72 bytes"),
    (PLAIN[:-1], "the lengths add up to 72 bytes, the frame has 71"),
    (KEYS + b"x", "the lengths add up to"),
    (with_bytes(PLAIN, SEQS, bytes(8)), "a sequence number or an attempt is 0"),
    (with_bytes(PLAIN, ATTEMPTS, b"\x00"), "a sequence number or an attempt is 0"),
    (with_bytes(PLAIN, FLAGS, b"\x04"), "unknown flags among"),
    (with_bytes(PLAIN, FLAGS, b"\xff"), "unknown flags among"),
    (with_bytes(PLAIN, KEY_SIZES, b"\x01"), "the lengths add up to 73 bytes, the frame has 72"),
    (
        encode_deliveries(ID, [StreamMessage(1, "x" * 256, b"", b"", 0, NOW)]),
        "a key of 256 bytes; the limit is 255",
    ),
    (ONE[:-2] + b"\xffx", "a key that is not UTF-8"),
    (KEYS.replace("ü".encode(), b"\xc3r"), "a key that is not UTF-8"),
]


@pytest.mark.parametrize(("frame", "reason"), NO_DELIVERIES)
def test_a_frame_that_is_no_batch_is_refused_with_the_reason(frame: bytes, reason: str) -> None:
    with pytest.raises(FrameError, match=reason):
        decode_deliveries(frame)


def test_a_key_that_is_cut_within_a_sign_is_refused() -> None:
    """Check keys that are UTF-8 only together."""
    frame = encode_deliveries(
        ID, [StreamMessage(1, "é", b"", b"", 0, NOW), StreamMessage(2, "aa", b"", b"", 0, NOW)]
    )
    assert check(frame)
    assert not check(with_bytes(frame, KEY_SIZES, b"\x01\x00\x03\x00"))


# --- memory


@pytest.mark.parametrize("count", [2**16, 2**31 - 1, 2**31, 2**32 - 1])
def test_a_count_that_does_not_fit_asks_for_no_memory(count: int) -> None:
    forged = with_bytes(PLAIN, 12, count.to_bytes(4, "little"))
    assert peak_bytes(lambda: check(forged)) < 20_000
    assert not check(forged)


def test_lengths_that_do_not_fit_ask_for_no_memory() -> None:
    forged = with_bytes(with_bytes(PLAIN, SIZES, b"\xff" * 8), KEY_SIZES, b"\xff" * 8)
    assert peak_bytes(lambda: check(forged)) < 20_000
    assert not check(forged)


@pytest.mark.parametrize("key", ["", "k"])
@pytest.mark.parametrize("size", [0, 1, 10, 1000])
def test_the_densest_frames_take_at_most_sixteen_times_their_size(size: int, key: str) -> None:
    count = min(MAX_COUNT, 200_000 // (4 + size))
    some = [StreamMessage(2**40 + number, key, b"", b"x" * size, 0, NOW) for number in range(count)]
    frame = encode_deliveries(ID, some)
    assert len(decode_deliveries(frame).payloads) == count
    assert peak_bytes(lambda: decode_deliveries(frame)) < 16 * len(frame)

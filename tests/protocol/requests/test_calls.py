"""Frames of request/reply: encoded calls decode to the same; other frames are refused or consistent."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from colugo.errors import FrameError
from colugo.protocol.frames import MAX_COUNT, NO_ID, FrameKind
from colugo.protocol.pubsub.publications import encode_publication
from colugo.protocol.requests.calls import (
    FLAG_ERROR,
    FLAG_REFUSED,
    FLAG_TEXT,
    Call,
    Calls,
    decode_calls,
    encode_calls,
    split_envelope,
)
from tests.support.memory import peak_bytes
from tests.support.mutation import with_bytes
from tests.support.reading import read_calls
from tests.support.strategies import socket_ids, uint64

ID = b"server-1"
REQUEST = encode_calls(FrameKind.REQUEST, NO_ID, [Call(1, FLAG_TEXT, b"door"), Call(2, 0, b"")])
REPLY = encode_calls(FrameKind.REPLY, ID, [Call(1, FLAG_ERROR, b"no"), Call(2**64 - 1, FLAG_REFUSED, b"")])
PUBLICATION = encode_publication(ID, 7, 1_700_000_000_000_000_000, [b"21.5", b"", b"22"])

calls = st.lists(st.builds(Call, uint64, st.integers(0, 7), st.binary(max_size=50)), min_size=1, max_size=20)
call_kinds = st.sampled_from([FrameKind.REQUEST, FrameKind.REPLY])


def check(frame: bytes, kind: FrameKind) -> bool:
    """Return True if a frame is accepted, and fail if it then is inconsistent."""
    try:
        read_calls(frame, kind)
    except FrameError:
        return False
    return True


# --- the bytes on the wire


def test_the_bytes_of_calls_are_those_of_the_documents() -> None:
    assert encode_calls(
        FrameKind.REPLY, b"\x01\x02\x03\x04\x05\x06\x07\x08", [Call(258, 2, b"abc"), Call(3, 1, b"d")]
    ) == (
        b"\xc1\x00\x02\x11"
        b"\x01\x02\x03\x04\x05\x06\x07\x08"
        b"\x02\x00\x00\x00"
        b"\x02\x01\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x00\x00\x00\x00"
        b"\x03\x00\x00\x00\x01\x00\x00\x00"
        b"\x02\x01"
        b"abcd"
    )


def test_the_bytes_of_a_single_call_are_of_the_same_form() -> None:
    assert encode_calls(FrameKind.REQUEST, NO_ID, [Call(258, 1, b"abc")]) == (
        b"\xc1\x00\x02\x10" + bytes(8) + b"\x01\x00\x00\x00"
        b"\x02\x01\x00\x00\x00\x00\x00\x00"
        b"\x03\x00\x00\x00"
        b"\x01"
        b"abc"
    )


# --- round trips


@given(call_kinds, socket_ids, calls)
@example(FrameKind.REPLY, ID, [Call(2**64 - 1, 7, b"x" * 70_000)])
def test_calls_come_back_as_they_were(kind: FrameKind, server: bytes, some: list[Call]) -> None:
    assert decode_calls(encode_calls(kind, server, some), kind) == Calls(kind, server, some)


@pytest.mark.parametrize("count", [2, 63, 64, 65, 128, 1000, MAX_COUNT])
@pytest.mark.parametrize("size", [0, 3])
def test_any_number_of_calls_of_one_size_comes_back_in_order(count: int, size: int) -> None:
    some = [Call(number, 0, number.to_bytes(3, "big")[:size]) for number in range(count)]
    assert decode_calls(encode_calls(FrameKind.REPLY, ID, some), FrameKind.REPLY).calls == some


# --- invalid frames

NO_REQUESTS = [
    (b"", "0 bytes are too few for a REQUEST"),
    (REQUEST[:15], "15 bytes are too few"),
    (b"SSH-2.0-OpenSSH_9.2p1 Debian", "first byte is 0x53, not 0xc1: not a colugo peer"),
    (with_bytes(REQUEST, 2, b"\x00"), "wire format version 0; this is version 2"),
    (with_bytes(REQUEST, 1, b"\x01"), "not a REQUEST: kind 16, second byte 1, 2 messages"),
    (REPLY, "not a REQUEST: kind 17, second byte 0, 2 messages"),
    (PUBLICATION, "wire format version 255"),
    (with_bytes(REQUEST, 12, b"\x00")[:16], "not a REQUEST: kind 16, second byte 0, 0 messages"),
    (with_bytes(REQUEST, 12, b"\xff\xff\xff\xff"), "4294967295 messages in one frame; the limit is 65536"),
    (with_bytes(REQUEST, 12, b"\x01\x00\x01\x00"), "65537 messages in one frame"),
    (with_bytes(REQUEST, 12, b"\x00\x00\x01\x00"), "65536 entries do not fit into 46 bytes"),
    (with_bytes(REQUEST, 40, b"\x10"), r"unknown flags among \{.*16.*\}"),
    (with_bytes(REQUEST, 12, b"\x03"), "3 entries do not fit into 46 bytes"),
    (with_bytes(REQUEST, 32, b"\x05"), "add up to 47 bytes, the frame has 46"),
    (REQUEST[:-1], "add up to 46 bytes, the frame has 45"),
    (REQUEST + b"\xc1", "add up to 46 bytes, the frame has 47"),
]


@pytest.mark.parametrize(("frame", "reason"), NO_REQUESTS, ids=[reason for _, reason in NO_REQUESTS])
def test_what_is_no_request_is_refused_with_the_reason(frame: bytes, reason: str) -> None:
    with pytest.raises(FrameError, match=reason):
        decode_calls(frame, FrameKind.REQUEST)


def test_a_request_is_no_reply() -> None:
    with pytest.raises(FrameError, match="not a REPLY: kind 16"):
        decode_calls(REQUEST, FrameKind.REPLY)
    with pytest.raises(FrameError, match="too few for a REPLY"):
        decode_calls(b"", FrameKind.REPLY)


# --- memory


@pytest.mark.parametrize("count", [2**16, 2**31 - 1, 2**31, 2**32 - 1])
def test_a_count_that_does_not_fit_asks_for_no_memory(count: int) -> None:
    forged = with_bytes(REQUEST, 12, count.to_bytes(4, "little"))
    assert peak_bytes(lambda: check(forged, FrameKind.REQUEST)) < 20_000
    assert not check(forged, FrameKind.REQUEST)


def test_lengths_that_do_not_fit_ask_for_no_memory() -> None:
    forged = with_bytes(REQUEST, 32, b"\xff" * 8)
    assert peak_bytes(lambda: check(forged, FrameKind.REQUEST)) < 20_000
    assert not check(forged, FrameKind.REQUEST)


@pytest.mark.parametrize("size", [0, 1, 2, 10, 1000])
@pytest.mark.parametrize("odd", [b"", b"odd one"], ids=["equal", "unequal"])
def test_the_densest_frames_take_at_most_sixteen_times_their_size(size: int, odd: bytes) -> None:
    count = min(MAX_COUNT - 1, 200_000 // (4 + size))
    some = [Call(2**40, 0, b"x" * size)] * count + [Call(1, 0, odd)]
    frame = encode_calls(FrameKind.REQUEST, NO_ID, some)
    assert len(decode_calls(frame, FrameKind.REQUEST).calls) == count + 1
    assert peak_bytes(lambda: decode_calls(frame, FrameKind.REQUEST)) < 16 * len(frame)


# --- envelopes


@pytest.mark.parametrize(
    ("frames", "envelope", "body"),
    [
        ([b"", b"door"], [b""], [b"door"]),
        ([b"\x01\x02\x03\x04", b"", b"door"], [b"\x01\x02\x03\x04", b""], [b"door"]),
        ([b"hop", b"\x01\x02\x03\x04", b"", b"door"], [b"hop", b"\x01\x02\x03\x04", b""], [b"door"]),
        ([b"", b"", b"text"], [b""], [b"", b"text"]),
        ([b"", b"a", b"", b"b"], [b""], [b"a", b"", b"b"]),
        ([b""], [b""], []),
        ([REQUEST], [], [REQUEST]),
        ([b"a", b"b"], [], [b"a", b"b"]),
        ([], [], []),
    ],
    ids=["REQ", "correlated", "routed", "error", "several", "bare", "ours", "foreign", "nothing"],
)
def test_all_up_to_the_first_empty_frame_is_envelope(
    frames: list[bytes], envelope: list[bytes], body: list[bytes]
) -> None:
    assert split_envelope(frames) == (envelope, body)


@given(st.lists(st.sampled_from([b"", b"a", b"bc"])))
def test_envelope_and_body_together_are_what_came(frames: list[bytes]) -> None:
    envelope, body = split_envelope(frames)
    assert envelope + body == frames
    assert envelope.count(b"") == len(envelope[-1:])
    assert not envelope or not envelope[-1]
    assert envelope or b"" not in body

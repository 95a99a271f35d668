"""The wire format: what is encoded comes back, and anything else is a FrameError or consistent in itself."""

from collections.abc import Callable, Iterator
from random import Random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from colugo.errors import FrameError
from colugo.protocol.frames import (
    FLAG_ERROR,
    FLAG_REFUSED,
    FLAG_TEXT,
    ID_BYTES,
    LIVE_PREFIX,
    MAGIC,
    NO_ID,
    READER_PREFIX,
    VERSION,
    Call,
    Calls,
    Kind,
    Publication,
    decode_calls,
    decode_publication,
    encode_calls,
    encode_publication,
    split_envelope,
)
from tests.memory import peak_bytes
from tests.mutation import mutants
from tests.strategies import socket_ids, uint64

ID = b"publishr"
PUBLICATION = encode_publication(ID, 7, 1_700_000_000_000_000_000, [b"21.5", b"", b"22"], text=True)
WELCOME = encode_publication(ID, 7, 1_700_000_000_000_000_000, [], text=False, kind=Kind.WELCOME)
REQUEST = encode_calls(Kind.REQUEST, NO_ID, [Call(1, FLAG_TEXT, b"door"), Call(2, 0, b"")])
REPLY = encode_calls(Kind.REPLY, ID, [Call(1, FLAG_ERROR, b"no"), Call(2**64 - 1, FLAG_REFUSED, b"")])

payloads = st.lists(st.binary(max_size=50), min_size=1, max_size=20)
calls = st.lists(st.builds(Call, uint64, st.integers(0, 7), st.binary(max_size=50)), min_size=1, max_size=20)
call_kinds = st.sampled_from([Kind.REQUEST, Kind.REPLY])


def check_publication(frame: bytes, start: int = 0) -> bool:
    """Decode; whatever is accepted must encode to the same bytes again. Tell whether it was accepted."""
    try:
        got = decode_publication(frame, start)
    except FrameError:
        return False
    again = encode_publication(
        got.publisher, got.first_sequence, got.sent_ns, got.payloads, text=got.text, kind=got.kind
    )
    assert again == frame[start:]
    return True


def check_calls(frame: bytes, kind: Kind) -> bool:
    """The same for requests and replies."""
    try:
        got = decode_calls(frame, kind)
    except FrameError:
        return False
    assert got.kind == kind
    assert encode_calls(kind, got.server, got.calls) == frame
    return True


def check_request(frame: bytes) -> bool:
    return check_calls(frame, Kind.REQUEST)


def check_reply(frame: bytes) -> bool:
    return check_calls(frame, Kind.REPLY)


CHECKS: list[tuple[bytes, Callable[[bytes], bool]]] = [
    (PUBLICATION, check_publication),
    (WELCOME, check_publication),
    (REQUEST, check_request),
    (REPLY, check_reply),
]
every_frame = pytest.mark.parametrize(
    ("frame", "check"), CHECKS, ids=["publication", "welcome", "request", "reply"]
)


def with_bytes(frame: bytes, at: int, value: bytes) -> bytes:
    return frame[:at] + value + frame[at + len(value) :]


# --- the bytes on the wire


def test_the_bytes_of_a_publication_are_those_of_the_documents() -> None:
    assert encode_publication(b"\x01\x02\x03\x04\x05\x06\x07\x08", 258, 3, [b"a", b"bc"], text=True) == (
        b"\xc1\x01\x01\x01"
        b"\x01\x02\x03\x04\x05\x06\x07\x08"
        b"\x02\x01\x00\x00\x00\x00\x00\x00"
        b"\x03\x00\x00\x00\x00\x00\x00\x00"
        b"\x02\x00\x00\x00"
        b"\x01\x00\x00\x00\x02\x00\x00\x00"
        b"abc"
    )


def test_the_bytes_of_a_welcome_are_a_header_without_messages() -> None:
    header = encode_publication(ID, 1, 0, [], text=False, kind=Kind.WELCOME)
    assert header == b"\xc1\x01\x02\x00publishr\x01" + bytes(19)


def test_the_bytes_of_calls_are_those_of_the_documents() -> None:
    assert encode_calls(
        Kind.REPLY, b"\x01\x02\x03\x04\x05\x06\x07\x08", [Call(258, 2, b"abc"), Call(3, 1, b"d")]
    ) == (
        b"\xc1\x01\x11\x00"
        b"\x01\x02\x03\x04\x05\x06\x07\x08"
        b"\x02\x00\x00\x00"
        b"\x02\x01\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x00\x00\x00\x00"
        b"\x03\x00\x00\x00\x01\x00\x00\x00"
        b"\x02\x01"
        b"abcd"
    )


def test_a_live_frame_begins_with_what_readers_are_subscribed_to_and_never_with_a_readers_prefix() -> None:
    assert PUBLICATION.startswith(LIVE_PREFIX)
    assert not PUBLICATION.startswith(READER_PREFIX)
    assert len(NO_ID) == ID_BYTES == len(ID)


# --- round trips


@given(socket_ids, uint64, uint64, payloads, st.booleans())
@example(ID, 2**64 - 1, 2**64 - 1, [b""], True)
@example(ID, 0, 0, [b"x" * 70_000], False)
def test_a_publication_comes_back_as_it_was(
    publisher: bytes,
    first: int,
    sent_ns: int,
    messages: list[bytes],
    text: bool,  # noqa: FBT001 - given and example pass values by position
) -> None:
    frame = encode_publication(publisher, first, sent_ns, messages, text=text)
    assert decode_publication(frame) == Publication(Kind.DATA, text, publisher, first, sent_ns, messages)


@given(socket_ids, uint64, uint64)
def test_a_welcome_comes_back_as_it_was(publisher: bytes, first: int, sent_ns: int) -> None:
    frame = encode_publication(publisher, first, sent_ns, [], text=False, kind=Kind.WELCOME)
    assert decode_publication(frame) == Publication(Kind.WELCOME, False, publisher, first, sent_ns, [])


@given(st.binary(max_size=20), payloads)
def test_a_frame_for_one_reader_is_read_behind_its_prefix(prefix: bytes, messages: list[bytes]) -> None:
    frame = prefix + encode_publication(ID, 3, 4, messages, text=False)
    assert decode_publication(frame, len(prefix)).payloads == messages


@given(call_kinds, socket_ids, calls)
def test_calls_come_back_as_they_were(kind: Kind, server: bytes, some: list[Call]) -> None:
    assert decode_calls(encode_calls(kind, server, some), kind) == Calls(kind, server, some)


# --- frames that are none


NO_PUBLICATIONS = [
    (b"", "0 bytes are too few for a publication"),
    (b"\xc1", "1 bytes are too few"),
    (PUBLICATION[:31], "31 bytes are too few"),
    (b"GET / HTTP/1.1\r\nHost: 192.0.2.1:80\r\n\r\n", "first byte is 0x47, not 0xc1: not a colugo peer"),
    (with_bytes(PUBLICATION, 1, b"\x02"), "wire format version 2; this is version 1"),
    (with_bytes(PUBLICATION, 2, b"\x10"), "not a publication: kind 16, flags 1, 3 messages"),
    (with_bytes(PUBLICATION, 3, b"\x02"), "not a publication: kind 1, flags 2"),
    (with_bytes(PUBLICATION, 3, b"\xff"), "flags 255"),
    (with_bytes(PUBLICATION, 2, b"\x02"), "not a publication: kind 2, flags 1, 3 messages"),
    (with_bytes(WELCOME, 2, b"\x01"), "not a publication: kind 1, flags 0, 0 messages"),
    (
        with_bytes(PUBLICATION, 28, b"\xff\xff\xff\xff"),
        "4294967295 messages in one frame; there may be 65536",
    ),
    (with_bytes(PUBLICATION, 28, b"\x00\x00\x01\x00"), "65536 lengths do not fit into 50 bytes"),
    (with_bytes(PUBLICATION, 28, b"\x05"), "5 lengths do not fit into 50 bytes"),
    (with_bytes(PUBLICATION, 32, b"\x05"), "the lengths add up to 51 bytes, the frame has 50"),
    (with_bytes(PUBLICATION, 32, b"\x03"), "add up to 49 bytes, the frame has 50"),
    (with_bytes(PUBLICATION, 32, b"\xff" * 12), "add up to 12884901929 bytes"),
    (PUBLICATION[:-1], "add up to 50 bytes, the frame has 49"),
    (PUBLICATION + b"x", "add up to 50 bytes, the frame has 51"),
    (WELCOME + b"x", "add up to 32 bytes, the frame has 33"),
    (REQUEST + bytes(20), "not a publication: kind 16"),
]


@pytest.mark.parametrize(("frame", "reason"), NO_PUBLICATIONS, ids=[reason for _, reason in NO_PUBLICATIONS])
def test_what_is_no_publication_is_refused_with_the_reason(frame: bytes, reason: str) -> None:
    with pytest.raises(FrameError, match=reason):
        decode_publication(frame)


NO_REQUESTS = [
    (b"", "0 bytes are too few for a REQUEST"),
    (REQUEST[:15], "15 bytes are too few"),
    (b"SSH-2.0-OpenSSH_9.2p1 Debian", "first byte is 0x53, not 0xc1: not a colugo peer"),
    (with_bytes(REQUEST, 1, b"\x00"), "wire format version 0; this is version 1"),
    (REPLY, "not a REQUEST: kind 17, flags 0, 2 messages"),
    (PUBLICATION, "not a REQUEST: kind 1"),
    (with_bytes(REQUEST, 3, b"\x01"), "not a REQUEST: kind 16, flags 1"),
    (with_bytes(REQUEST, 12, b"\x00")[:16], "not a REQUEST: kind 16, flags 0, 0 messages"),
    (with_bytes(REQUEST, 12, b"\xff\xff\xff\xff"), "4294967295 messages in one frame; there may be 65536"),
    (with_bytes(REQUEST, 12, b"\x00\x00\x01\x00"), "65536 entries do not fit into 46 bytes"),
    (with_bytes(REQUEST, 40, b"\x08"), "unknown flags"),
    (with_bytes(REQUEST, 12, b"\x03"), "3 entries do not fit into 46 bytes"),
    (with_bytes(REQUEST, 32, b"\x05"), "add up to 47 bytes, the frame has 46"),
    (REQUEST[:-1], "add up to 46 bytes, the frame has 45"),
    (REQUEST + b"\xc1", "add up to 46 bytes, the frame has 47"),
]


@pytest.mark.parametrize(("frame", "reason"), NO_REQUESTS, ids=[reason for _, reason in NO_REQUESTS])
def test_what_is_no_request_is_refused_with_the_reason(frame: bytes, reason: str) -> None:
    with pytest.raises(FrameError, match=reason):
        decode_calls(frame, Kind.REQUEST)


def test_a_request_is_no_reply() -> None:
    with pytest.raises(FrameError, match="not a REPLY: kind 16"):
        decode_calls(REQUEST, Kind.REPLY)
    with pytest.raises(FrameError, match="too few for a REPLY"):
        decode_calls(b"", Kind.REPLY)


@every_frame
def test_every_truncation_is_refused(frame: bytes, check: Callable[[bytes], bool]) -> None:
    assert check(frame)
    assert [size for size in range(len(frame)) if check(frame[:size])] == []


@every_frame
@given(tail=st.binary(min_size=1, max_size=100))
def test_every_extension_is_refused(frame: bytes, check: Callable[[bytes], bool], tail: bytes) -> None:
    assert not check(frame + tail)


@every_frame
def test_whatever_one_byte_becomes_the_frame_is_refused_or_consistent(
    frame: bytes, check: Callable[[bytes], bool]
) -> None:
    accepted = [
        {value for value in range(256) if check(with_bytes(frame, at, bytes([value])))}
        for at in range(len(frame))
    ]
    assert accepted[:3] == [{MAGIC}, {VERSION}, {frame[2]}]
    assert all(frame[at] in accepted[at] for at in range(len(frame)))


def numbers(frame: bytes) -> Iterator[bytes]:
    """The frame with each four bytes of it set to numbers that lengths and counts break at."""
    for at in range(len(frame) - 3):
        for number in (0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, len(frame), len(frame) - at):
            yield with_bytes(frame, at, number.to_bytes(4, "little"))


@every_frame
def test_whatever_a_length_or_count_becomes_the_frame_is_refused_or_consistent(
    frame: bytes, check: Callable[[bytes], bool]
) -> None:
    outcomes = {check(changed) for changed in numbers(frame)}
    assert outcomes == {True, False}


@every_frame
def test_any_two_frames_spliced_are_refused_or_consistent(
    frame: bytes, check: Callable[[bytes], bool]
) -> None:
    outcomes = {
        check(frame[:cut] + other[resume:])
        for other, _ in CHECKS
        for cut in range(len(frame))
        for resume in range(len(other))
    }
    assert outcomes == {True, False}


@every_frame
def test_random_mutants_are_refused_or_consistent(frame: bytes, check: Callable[[bytes], bool]) -> None:
    outcomes = {check(mutant) for mutant in mutants([frame], Random(1), 2000)}
    assert outcomes == {True, False}


@given(st.binary(max_size=120))
def test_arbitrary_bytes_are_refused_or_consistent(data: bytes) -> None:
    for _, check in CHECKS:
        check(data)
        check(bytes([MAGIC, VERSION]) + data)


@given(st.binary(max_size=100), st.integers(0, 200))
def test_a_start_behind_the_end_is_refused(data: bytes, start: int) -> None:
    check_publication(data, start)
    with pytest.raises(FrameError, match="too few"):
        decode_publication(PUBLICATION, len(PUBLICATION) + start)


# --- memory


@pytest.mark.parametrize("count", [2**16, 2**31 - 1, 2**31, 2**32 - 1])
def test_a_count_that_does_not_fit_asks_for_no_memory(count: int) -> None:
    forged = count.to_bytes(4, "little")

    def decode() -> None:
        assert not check_publication(with_bytes(PUBLICATION, 28, forged))
        assert not check_request(with_bytes(REQUEST, 12, forged))

    assert peak_bytes(decode) < 20_000


def test_lengths_that_do_not_fit_ask_for_no_memory() -> None:
    def decode() -> None:
        assert not check_publication(with_bytes(PUBLICATION, 32, b"\xff" * 12))
        assert not check_request(with_bytes(REQUEST, 32, b"\xff" * 8))

    assert peak_bytes(decode) < 20_000


@pytest.mark.parametrize("size", [0, 1, 2, 10, 1000])
def test_the_densest_frames_take_at_most_sixteen_times_their_size(size: int) -> None:
    messages = [b"x" * size] * (200_000 // (4 + size))
    publication = encode_publication(ID, 0, 0, messages, text=False)
    request = encode_calls(Kind.REQUEST, NO_ID, [Call(2**40, 0, message) for message in messages])
    assert peak_bytes(lambda: decode_publication(publication)) < 16 * len(publication)
    assert peak_bytes(lambda: decode_calls(request, Kind.REQUEST)) < 16 * len(request)


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

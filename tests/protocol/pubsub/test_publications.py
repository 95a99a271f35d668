"""Frames of publish/subscribe: what is encoded comes back; anything else is refused or consistent."""

from itertools import product
from random import Random
from typing import Any, NamedTuple

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from colugo.errors import FrameError
from colugo.protocol.frames import ID_BYTES, LARGE_BYTES, MAGIC, MAX_COUNT, NO_ID, VERSION, FrameKind
from colugo.protocol.pubsub.publications import (
    ACK_PREFIX,
    ALL_SUBSCRIBERS,
    FLAG_ANSWER,
    FLAG_CONFLATE,
    FLAG_END,
    FLAG_LARGE,
    FLAG_TEXT,
    FLAG_WAIT,
    JOIN_BYTES,
    SUBSCRIBER_PREFIX,
    SegmentAck,
    decode_ack,
    decode_publication,
    encode_ack,
    encode_publication,
    is_large,
    live_prefix,
)
from tests.support.memory import peak_bytes
from tests.support.mutation import accepted_bytes, mutants, with_bytes, with_numbers
from tests.support.reading import read_publication
from tests.support.strategies import socket_ids, uint64

ID = b"publishr"
NOW = 1_700_000_000_000_000_000
WITH_PAYLOADS = [FrameKind.DATA, FrameKind.RETAINED]
FLAGS = {
    FrameKind.DATA: FLAG_TEXT | FLAG_END | FLAG_WAIT | FLAG_CONFLATE,
    FrameKind.RETAINED: FLAG_TEXT | FLAG_END | FLAG_WAIT | FLAG_CONFLATE,
    FrameKind.WELCOME: FLAG_CONFLATE,
    FrameKind.BEACON: FLAG_END | FLAG_ANSWER | FLAG_CONFLATE,
    FrameKind.CUT: 0,
}
"""The flags that a frame of each kind may have, except FLAG_LARGE."""
SEGMENT_AT, VERSION_AT, KIND_AT, FLAGS_AT, COUNT_AT, LENGTHS_AT = 1, 9, 10, 11, 36, 40

payloads = st.lists(st.binary(max_size=50), min_size=1, max_size=20)
segments = st.integers(0, ALL_SUBSCRIBERS - 1) | st.just(ALL_SUBSCRIBERS)


class Message(NamedTuple):
    """A frame, and the one that follows it."""

    frame: bytes
    large: bytes | None = None


MESSAGES = {
    "publication": Message(encode_publication(ID, 7, NOW, [b"21.5", b"", b"22"], flags=FLAG_TEXT, segment=3)),
    "one": Message(encode_publication(ID, 7, NOW, [b"\xff\xfe"], flags=FLAG_END | FLAG_WAIT, segment=3)),
    "equal": Message(encode_publication(ID, 8, NOW, [b"ab", b"cd", b"ef"], flags=FLAG_CONFLATE)),
    "large": Message(encode_publication(ID, 7, NOW, [b"x" * 99], flags=FLAG_LARGE, segment=3), b"x" * 99),
    "retained": Message(encode_publication(ID, 7, NOW, [b"21.5"], kind=FrameKind.RETAINED, flags=FLAG_TEXT)),
    "welcome": Message(encode_publication(ID, 7, NOW, [], kind=FrameKind.WELCOME)),
    "beacon": Message(encode_publication(ID, 7, NOW, [], kind=FrameKind.BEACON, flags=FLAG_ANSWER)),
    "cut": Message(encode_publication(ID, 7, NOW, [], kind=FrameKind.CUT)),
}
PUBLICATION, WELCOME, LARGE = MESSAGES["publication"].frame, MESSAGES["welcome"].frame, MESSAGES["large"]
every_message = pytest.mark.parametrize("message", MESSAGES.values(), ids=MESSAGES)


def check(frame: bytes, start: int = 0, large: bytes | None = None) -> bool:
    """Return True if a frame is accepted, as bytes and as views; then it must be consistent."""
    views = memoryview(frame), start, None if large is None else memoryview(large)
    try:
        got = read_publication(frame, start, large)
    except FrameError:
        with pytest.raises(FrameError):
            decode_publication(*views)
        return False
    payloads = read_publication(*views).payloads()
    assert {type(payload) for payload in payloads} <= {memoryview}
    assert payloads == got.payloads()
    return True


# --- the bytes on the wire


def test_the_bytes_of_a_publication_are_those_of_the_documents() -> None:
    assert encode_publication(
        b"\x01\x02\x03\x04\x05\x06\x07\x08",
        258,
        3,
        [b"a", b"bc"],
        flags=FLAG_TEXT | FLAG_END,
        segment=772,
    ) == (
        b"\xc1\x00\x00\x00\x00\x00\x00\x03\x04"
        b"\x02\x01\x05"
        b"\x01\x02\x03\x04\x05\x06\x07\x08"
        b"\x02\x01\x00\x00\x00\x00\x00\x00"
        b"\x03\x00\x00\x00\x00\x00\x00\x00"
        b"\x02\x00\x00\x00"
        b"\x01\x00\x00\x00\x02\x00\x00\x00"
        b"abc"
    )


@pytest.mark.parametrize("kind", [FrameKind.WELCOME, FrameKind.BEACON, FrameKind.CUT])
def test_the_bytes_of_a_frame_without_messages_are_a_header(kind: FrameKind) -> None:
    header = encode_publication(ID, 1, 0, [], kind=kind)
    assert header == b"\xc1" + b"\xff" * 8 + b"\x02" + bytes([kind]) + b"\x00publishr\x01" + bytes(19)


def test_of_a_large_message_the_frame_has_only_the_length() -> None:
    body = b"x" * 70_000
    frame = encode_publication(ID, 1, 0, [body], flags=FLAG_LARGE)
    assert frame == encode_publication(ID, 1, 0, [body])[: LENGTHS_AT + 4].replace(
        b"\x01\x00pub", b"\x01\x02pub"
    )
    assert decode_publication(frame, 0, body).payloads()[0] is body


def test_a_message_is_large_when_it_has_more_than_32_kib() -> None:
    assert LARGE_BYTES == 32 * 1024
    assert not is_large(bytes(LARGE_BYTES))
    assert is_large(memoryview(bytes(LARGE_BYTES + 1)))


@given(segments, st.sampled_from(list(FLAGS)))
def test_a_frame_begins_with_what_readers_of_its_segment_are_subscribed_to(
    segment: int, kind: FrameKind
) -> None:
    some = [b"a"] if kind in WITH_PAYLOADS else []
    frame = encode_publication(ID, 1, 2, some, kind=kind, segment=segment)
    assert frame.startswith(live_prefix(segment))
    assert not frame.startswith(SUBSCRIBER_PREFIX)


@given(segments, segments)
def test_segments_have_prefixes_none_of_which_begins_another(one: int, other: int) -> None:
    assert live_prefix(one).startswith(live_prefix(other)) is (one == other)
    assert len(NO_ID) == ID_BYTES == len(ID)


# --- round trips


@given(st.data(), st.sampled_from(WITH_PAYLOADS), st.tuples(socket_ids, uint64, uint64), payloads, segments)
def test_a_publication_comes_back_as_it_was(
    data: st.DataObject, kind: FrameKind, origin: tuple[bytes, int, int], messages: list[bytes], segment: int
) -> None:
    flags = data.draw(st.integers(0, 63)) & FLAGS[kind]
    frame = encode_publication(*origin, messages, kind=kind, flags=flags, segment=segment)
    got = decode_publication(frame)
    assert got[:6] == (kind, flags, segment, *origin)
    assert got.payloads() == messages
    assert got.text is bool(flags & FLAG_TEXT)
    assert check(frame)


@given(
    st.data(),
    st.sampled_from([FrameKind.WELCOME, FrameKind.BEACON, FrameKind.CUT]),
    socket_ids,
    uint64,
    segments,
)
def test_what_has_no_messages_comes_back_as_it_was(
    data: st.DataObject, kind: FrameKind, publisher: bytes, first: int, segment: int
) -> None:
    flags = data.draw(st.integers(0, 63)) & FLAGS[kind]
    frame = encode_publication(publisher, first, NOW, [], kind=kind, flags=flags, segment=segment)
    got = decode_publication(frame)
    assert got[:7] == (kind, flags, segment, publisher, first, NOW, ())
    assert got.payloads() == []
    assert check(frame)


@given(socket_ids, uint64, st.binary(max_size=300), st.sampled_from(WITH_PAYLOADS))
@example(ID, 0, b"", FrameKind.DATA)
@example(ID, 2**64 - 1, b"x" * 70_000, FrameKind.RETAINED)
def test_a_large_publication_comes_back_as_it_was(
    publisher: bytes, first: int, body: bytes, kind: FrameKind
) -> None:
    flags = FLAG_LARGE | FLAG_END
    frame = encode_publication(publisher, first, NOW, [body], kind=kind, flags=flags, segment=5)
    got = decode_publication(frame, 0, body)
    assert got[:6] == (kind, flags, 5, publisher, first, NOW)
    assert got.payloads() == [body]
    assert check(frame, 0, body)


@pytest.mark.parametrize("count", [2, 63, 64, 65, 128, 1000, MAX_COUNT])
@pytest.mark.parametrize("size", [0, 3])
def test_any_number_of_messages_of_one_size_comes_back_in_order(count: int, size: int) -> None:
    messages = [number.to_bytes(3, "big")[:size] for number in range(count)]
    assert decode_publication(encode_publication(ID, 0, 0, messages)).payloads() == messages


@given(st.binary(max_size=20), payloads)
def test_a_frame_for_one_reader_is_read_behind_its_prefix(prefix: bytes, messages: list[bytes]) -> None:
    frame = prefix + encode_publication(ID, 3, 4, messages)
    assert decode_publication(frame, len(prefix)).payloads() == messages
    assert check(frame, len(prefix))


@given(st.lists(st.text(max_size=5), min_size=1, max_size=5))
@example(["a", "é"])
@example(["é"[:0], "b"])
def test_texts_are_given_if_all_of_them_are_ascii(texts: list[str]) -> None:
    encoded = [text.encode() for text in texts if text.isprintable()] or [b""]
    got = decode_publication(encode_publication(ID, 3, 4, encoded, flags=FLAG_TEXT))
    expected = [text.decode() for text in encoded]
    assert got.texts() == (expected if "".join(expected).isascii() else None)


# --- frames that are none

NO_PUBLICATIONS = [
    (b"", "0 bytes are too few for a publication"),
    (b"\xc1", "1 bytes are too few"),
    (PUBLICATION[:39], "39 bytes are too few"),
    (b"GET / HTTP/1.1\r\nHost: 192.0.2.1:80\r\n\r\n\r\n", "first byte is 0x47, not 0xc1: not a colugo peer"),
    (with_bytes(PUBLICATION, VERSION_AT, b"\x01"), "wire format version 1; this is version 2"),
    (with_bytes(PUBLICATION, KIND_AT, b"\x10"), "not a publication: kind 16, flags 1, 3 messages"),
    (with_bytes(PUBLICATION, KIND_AT, b"\x00"), "not a publication: kind 0"),
    (with_bytes(PUBLICATION, KIND_AT, b"\x02"), "not a publication: kind 2, flags 1, 3 messages"),
    (with_bytes(PUBLICATION, FLAGS_AT, b"\x20"), "not a publication: kind 1, flags 32"),
    (with_bytes(PUBLICATION, FLAGS_AT, b"\xff"), "flags 255"),
    (with_bytes(PUBLICATION, FLAGS_AT, b"\x02"), "flags 2 and 3 messages, second frame: False"),
    (with_bytes(MESSAGES["cut"].frame, FLAGS_AT, b"\x04"), "not a publication: kind 5, flags 4"),
    (with_bytes(WELCOME, FLAGS_AT, b"\x02"), "not a publication: kind 2, flags 2"),
    (with_bytes(WELCOME, KIND_AT, b"\x01"), "not a publication: kind 1, flags 0, 0 messages"),
    (with_bytes(PUBLICATION, COUNT_AT, b"\xff" * 4), "4294967295 messages in one frame; the limit is 65536"),
    (with_bytes(PUBLICATION, COUNT_AT, b"\x01\x00\x01\x00"), "65537 messages in one frame"),
    (with_bytes(PUBLICATION, COUNT_AT, b"\x00\x00\x01\x00"), "65536 lengths do not fit into 58 bytes"),
    (with_bytes(PUBLICATION, COUNT_AT, b"\x05"), "5 lengths do not fit into 58 bytes"),
    (with_bytes(PUBLICATION, LENGTHS_AT, b"\x05"), "the lengths add up to 59 bytes, the frame has 58"),
    (with_bytes(PUBLICATION, LENGTHS_AT, b"\x03"), "add up to 57 bytes, the frame has 58"),
    (with_bytes(PUBLICATION, LENGTHS_AT, b"\xff" * 12), "add up to 12884901937 bytes"),
    (PUBLICATION[:-1], "add up to 58 bytes, the frame has 57"),
    (PUBLICATION + b"x", "add up to 58 bytes, the frame has 59"),
    (WELCOME + b"x", "add up to 40 bytes, the frame has 41"),
    (LARGE.frame, "flags 2 and 1 messages, second frame: False"),
]


@pytest.mark.parametrize(("frame", "reason"), NO_PUBLICATIONS, ids=[reason for _, reason in NO_PUBLICATIONS])
def test_what_is_no_publication_is_refused_with_the_reason(frame: bytes, reason: str) -> None:
    with pytest.raises(FrameError, match=reason):
        decode_publication(frame)


NO_LARGE_ONES = [
    (PUBLICATION, b"x", "flags 1 and 3 messages, second frame: True"),
    (with_bytes(PUBLICATION, FLAGS_AT, b"\x03"), b"x", "flags 3 and 3 messages, second frame: True"),
    (MESSAGES["one"].frame, b"\xff\xfe", "flags 12 and 1 messages, second frame: True"),
    (WELCOME, b"", "flags 0 and 0 messages, second frame: True"),
    (LARGE.frame, b"x" * 98, "the lengths add up to 99 bytes, the frame has 98"),
    (LARGE.frame, b"", "the lengths add up to 99 bytes, the frame has 0"),
    (LARGE.frame + b"x", b"x" * 99, "the lengths add up to 44 bytes, the frame has 45"),
    (LARGE.frame[:-1], b"x" * 99, "1 lengths do not fit into 43 bytes"),
]


@pytest.mark.parametrize(
    ("frame", "large", "reason"), NO_LARGE_ONES, ids=[reason for _, _, reason in NO_LARGE_ONES]
)
def test_a_second_frame_that_does_not_belong_is_refused_with_the_reason(
    frame: bytes, large: bytes, reason: str
) -> None:
    with pytest.raises(FrameError, match=reason):
        decode_publication(frame, 0, large)


def test_of_kinds_and_flags_just_the_documented_combinations_are_accepted() -> None:
    accepted = set()
    for kind, flags, count in product(range(256), range(256), (0, 1)):
        frame = with_bytes(encode_publication(ID, 1, 2, [b"ab"] * count), KIND_AT, bytes([kind, flags]))
        if flags & FLAG_LARGE and count:
            frame = frame[:-2]
        try:
            decode_publication(frame, 0, b"ab" if flags & FLAG_LARGE else None)
        except FrameError:
            continue
        accepted.add((kind, flags, count))
    assert accepted == {
        (kind, flags, int(kind in WITH_PAYLOADS))
        for kind, allowed in FLAGS.items()
        for flags in range(64)
        if not flags & ~(allowed | (FLAG_LARGE if kind in WITH_PAYLOADS else 0))
    }


@every_message
def test_every_truncation_is_refused(message: Message) -> None:
    frame, large = message
    assert check(frame, 0, large)
    assert [size for size in range(len(frame)) if check(frame[:size], 0, large)] == []
    assert [size for size in range(len(large or b"")) if check(frame, 0, (large or b"")[:size])] == []


@every_message
@given(tail=st.binary(min_size=1, max_size=100))
def test_every_extension_is_refused(message: Message, tail: bytes) -> None:
    frame, large = message
    assert not check(frame + tail, 0, large)
    assert not check(frame, 0, (large or b"") + tail)


@every_message
def test_whatever_one_byte_becomes_the_frame_is_refused_or_consistent(message: Message) -> None:
    frame, large = message
    accepted = accepted_bytes(frame, lambda changed: check(changed, 0, large))
    assert accepted[0] == {MAGIC}
    assert accepted[VERSION_AT] == {VERSION}


@every_message
def test_whatever_a_length_or_count_becomes_the_frame_is_refused_or_consistent(message: Message) -> None:
    assert {check(changed, 0, message.large) for changed in with_numbers(message.frame, 4)} == {True, False}


@every_message
def test_any_two_frames_spliced_are_refused_or_consistent(message: Message) -> None:
    outcomes = {
        check(message.frame[:cut] + other.frame[resume:], 0, message.large)
        for other in MESSAGES.values()
        for cut in range(len(message.frame))
        for resume in range(len(other.frame))
    }
    assert outcomes == {True, False}


@every_message
def test_random_mutants_are_refused_or_consistent(message: Message) -> None:
    outcomes = {check(mutant, 0, message.large) for mutant in mutants([message.frame], Random(1), 2000)}
    assert outcomes == {True, False}


@given(st.binary(max_size=120), st.none() | st.binary(max_size=20))
def test_arbitrary_bytes_are_refused_or_consistent(data: bytes, large: bytes | None) -> None:
    check(data, 0, large)
    check(PUBLICATION[:COUNT_AT] + data, 0, large)
    check(LARGE.frame[: len(LARGE.frame) - len(data)] + data, 0, large)


@given(st.binary(max_size=100), st.integers(0, 200))
def test_a_start_behind_the_end_is_refused(data: bytes, start: int) -> None:
    check(data, start)
    with pytest.raises(FrameError, match="too few"):
        decode_publication(PUBLICATION, len(PUBLICATION) + start)


# --- memory


@pytest.mark.parametrize("count", [2**16, 2**31 - 1, 2**31, 2**32 - 1])
def test_a_count_that_does_not_fit_asks_for_no_memory(count: int) -> None:
    forged = with_bytes(PUBLICATION, COUNT_AT, count.to_bytes(4, "little"))
    assert peak_bytes(lambda: check(forged)) < 20_000
    assert not check(forged)


def test_lengths_that_do_not_fit_ask_for_no_memory() -> None:
    forged = with_bytes(PUBLICATION, LENGTHS_AT, b"\xff" * 12)
    assert peak_bytes(lambda: check(forged)) < 20_000
    assert not check(forged)


@pytest.mark.parametrize("size", [0, 1, 2, 10, 1000])
@pytest.mark.parametrize("odd", [b"", b"odd one"], ids=["equal", "unequal"])
def test_the_densest_frames_take_at_most_sixteen_times_their_size(size: int, odd: bytes) -> None:
    messages = [b"x" * size] * (200_000 // (4 + size)) + ([odd] if odd else [])
    frame = encode_publication(ID, 0, 0, messages, flags=FLAG_TEXT)

    def read(data: bytes | memoryview) -> list[Any]:
        return decode_publication(data).payloads()

    assert len(read(frame)) == len(messages)
    assert peak_bytes(lambda: read(frame)) < 16 * len(frame)
    assert peak_bytes(lambda: decode_publication(frame).texts()) < 16 * len(frame)
    # each view is an object of some 200 bytes, where of short bytes one is enough
    assert peak_bytes(lambda: read(memoryview(frame))) < 60 * len(frame)


def test_batches_of_many_sizes_leave_nothing_behind() -> None:
    frames = [encode_publication(ID, 0, 0, [b""] * count) for count in range(60_000, 60_050)]

    def read() -> None:
        for frame in frames:
            assert len(decode_publication(frame).payloads()) >= 60_000

    assert peak_bytes(read) < 16 * max(map(len, frames))


def test_a_large_message_is_not_copied() -> None:
    body = bytes(4 << 20)
    frame = encode_publication(ID, 0, 0, [body], flags=FLAG_LARGE)
    assert len(frame) < 100
    assert decode_publication(frame, 0, body).payloads()[0] is body
    assert peak_bytes(lambda: decode_publication(frame, 0, memoryview(body)).payloads()) < 20_000


# --- acknowledgements

ACK = SegmentAck(ID, b"reader-1", NOW, 258)


def test_the_bytes_of_an_acknowledgement_are_a_subscription_and_its_end() -> None:
    begin, end = encode_ack(ACK)
    assert begin == b"\x01+publishrreader-1" + NOW.to_bytes(8, "little") + bytes(6) + b"\x01\x02"
    assert end == b"\x00" + begin[1:]
    assert begin[1:2] == ACK_PREFIX != SUBSCRIBER_PREFIX
    assert len(begin) > JOIN_BYTES


@given(socket_ids, socket_ids, uint64, segments)
def test_an_acknowledgement_comes_back_as_it_was(
    publisher: bytes, reader: bytes, expected: int, segment: int
) -> None:
    ack = SegmentAck(publisher, reader, expected, segment)
    begin, end = encode_ack(ack)
    assert decode_ack(begin) == ack
    assert decode_ack(end) is None


@given(st.binary(max_size=40) | st.binary(min_size=34, max_size=34))
def test_anything_else_is_no_acknowledgement(data: bytes) -> None:
    for frame in (data, b"\x01+" + data, b"\x01" + data, b"\x01@" + data[:32]):
        got = decode_ack(frame)
        assert (got is not None) is (len(frame) == 34 and frame[:2] == b"\x01+")
        assert got is None or encode_ack(got)[0] == frame


def test_every_truncation_and_extension_of_an_acknowledgement_is_none() -> None:
    frame = encode_ack(ACK)[0]
    assert {decode_ack(frame[:size]) for size in range(len(frame))} == {None}
    assert decode_ack(frame + b"\x00") is None

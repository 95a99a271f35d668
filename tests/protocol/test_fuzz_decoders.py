"""Fuzz tests: every decoder of untrusted input, fed with mutants of valid input.

A decoder may accept a mutant or raise its one error; what it accepts has to be consistent. The mutants
are the same in each run, and a failure shows the bytes. COLUGO_MUTANTS sets the number that the slow tests
make. Ten million mutants of frames:

    COLUGO_MUTANTS=10000000 make test-slow PYTEST="tests/protocol/test_fuzz_decoders.py -k mutated_frames"
"""

import contextlib
import dataclasses
import os
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Any

import msgspec
import pytest

from colugo.errors import AdvertisementError, DecodeError, FrameError
from colugo.protocol import advertisement, codecs, error_report, frames
from colugo.protocol.advertisement import Advertisement, Framing, from_txt, to_txt
from colugo.protocol.codecs import resolve_codec
from colugo.protocol.error_report import decode_error, decode_plain_error, encode_error, encode_plain_error
from colugo.protocol.frames import NO_ID, FrameKind
from colugo.protocol.membership.control import decode_body, decode_control, encode_control
from colugo.protocol.pubsub import publications
from colugo.protocol.pubsub.publications import (
    ALL_SUBSCRIBERS,
    FLAG_ANSWER,
    FLAG_CONFLATE,
    FLAG_END,
    FLAG_LARGE,
    FLAG_WAIT,
    SUBSCRIBER_PREFIX,
    SegmentAck,
    decode_ack,
    encode_ack,
    encode_publication,
)
from colugo.protocol.requests import calls
from colugo.protocol.requests.calls import (
    FLAG_ERROR,
    FLAG_REFUSED,
    FLAG_TEXT,
    Call,
    encode_calls,
    split_envelope,
)
from colugo.protocol.streams import deliveries, message_parts, ranges, settlements
from colugo.protocol.streams.deliveries import encode_deliveries
from colugo.protocol.streams.joining import Join, Joined
from colugo.protocol.streams.message_parts import pack_headers, unpack_headers
from colugo.protocol.streams.ranges import RangeSet
from colugo.protocol.streams.settlements import Failure, Settlement, SettlementOutcome, encode_settle
from colugo.protocol.streams.stream_message import StreamMessage
from proto.lab_pb2 import Temperature
from tests.support.memory import memory_limit, peak_bytes
from tests.support.mutation import mutants
from tests.support.reading import read_calls, read_deliveries, read_publication, read_settle
from tests.support.tracing import branches, branches_run, code_lines, functions_of, lines_run

ALL_MUTANTS = 200_000
MANY_MUTANTS = int(os.environ.get("COLUGO_MUTANTS", "3000000"))
FEW_MUTANTS = 1_200
SECONDS = 60 + MANY_MUTANTS / 20_000
"""The limit of a slow test."""
ID = b"\x00\x01\x02\x03\xfc\xfd\xfe\xff"
MEMORY = 256 << 20
"""The memory that an input of some hundred bytes must never allocate."""


class Reading(msgspec.Struct):
    sensor: str
    celsius: float
    tags: list[str] = []


@dataclass
class Position:
    x: int
    path: list[tuple[int, int]]


@dataclass(frozen=True)
class Decoder:
    """One decoder under test.

    Attributes:
        decode: reads the bytes, raises `error` if it refuses them, and asserts that what it accepts
            is consistent.
        seeds: valid inputs.
        error: the one error it may raise; None if it takes everything.
    """

    decode: Callable[[bytes], object]
    seeds: list[bytes]
    error: type[Exception] | None = None


# --- frames


def read_message(data: bytes) -> None:
    """Read one frame of publish/subscribe or two, as bytes and as views."""
    frame, mark, rest = data.partition(SECOND_FRAME)
    start = 9 if frame.startswith(SUBSCRIBER_PREFIX) else 0
    large = rest if mark else None
    with contextlib.suppress(FrameError):  # with a second frame where there was none, and without it
        read_publication(frame, start, None if mark else b"")
    got = read_publication(frame, start, large)
    view = read_publication(memoryview(frame), start, None if large is None else memoryview(large))
    assert got[:7] == view[:7]


class NoneOfThese(Exception):  # noqa: N818 - it is an outcome, no error
    """The input decoded to something else."""


def read_ack(data: bytes) -> None:
    ack = decode_ack(data)
    if ack is None:
        assert len(data) != len(ACKS[0]) or data[:2] != ACKS[0][:2]
        raise NoneOfThese
    assert encode_ack(ack) == (data, b"\x00" + data[1:])


def split(data: bytes) -> list[bytes]:
    """Split bytes into the frames of one message, so that mutants change their number and lengths, too."""
    return data.split(b"|")


def read_envelope(data: bytes) -> None:
    envelope, body = split_envelope(split(data))
    assert envelope + body == split(data)
    assert not envelope or envelope[-1] == b""
    assert b"" not in envelope[:-1]


def read_joining(data: bytes) -> None:
    """Decode as the two sides do, each of which accepts one kind."""
    kind, body = decode_control(data)
    if kind not in JOINING:
        raise FrameError(f"kind {kind}")
    form = JOINING[kind]
    got = decode_body(body, form)
    assert decode_body(decode_control(encode_control(kind, got))[1], form) == got


def read_ranges(data: bytes) -> None:
    got = RangeSet.decode(data)
    assert RangeSet.decode(got.encode()) == RangeSet(got) == got
    assert got.count == sum(last - first + 1 for first, last in got)


def read_headers(data: bytes) -> None:
    got = unpack_headers(data)
    assert all(type(name) is str for name in got)


SECOND_FRAME = b"\x00#2\x00"
NOW = 1_700_000_000_000_000_000
LARGE_HEAD = encode_publication(
    ID, 9, NOW, [b"large" * 9], flags=FLAG_LARGE | FLAG_END | FLAG_TEXT, segment=2**40
)
RETAINED_HEAD = encode_publication(ID, 9, NOW, [b"\xff" * 30], kind=FrameKind.RETAINED, flags=FLAG_LARGE)
OWN = SUBSCRIBER_PREFIX + ID
PUBLICATIONS = [
    encode_publication(ID, 5, NOW, [b"21.5"], flags=publications.FLAG_TEXT | FLAG_END, segment=3),
    encode_publication(ID, 2**40, 7, [b"", b"a", b"bc" * 40], flags=FLAG_WAIT, segment=254),
    encode_publication(ID, 6, NOW, [b"%03d" % number for number in range(70)], flags=publications.FLAG_TEXT),
    encode_publication(ID, 6, NOW, ["21 °C".encode(), b"ab"], flags=publications.FLAG_TEXT | FLAG_CONFLATE),
    LARGE_HEAD + SECOND_FRAME + b"large" * 9,
    OWN + RETAINED_HEAD + SECOND_FRAME + b"\xff" * 30,
    OWN
    + encode_publication(ID, 6, NOW, [b"a", b"b"], kind=FrameKind.RETAINED, flags=FLAG_END | FLAG_CONFLATE),
    OWN + encode_publication(ID, 5, 6, [], kind=FrameKind.WELCOME),
    OWN + encode_publication(ID, 5, NOW, [], kind=FrameKind.CUT),
    encode_publication(ID, 5, NOW, [], kind=FrameKind.BEACON, flags=FLAG_ANSWER),
    encode_publication(ID, 5, NOW, [], kind=FrameKind.BEACON, flags=FLAG_END, segment=77),
]
ACKS = [encode_ack(SegmentAck(ID, ID[::-1], NOW, segment))[0] for segment in (5, ALL_SUBSCRIBERS)]
CALLS = [Call(1, FLAG_TEXT, b"door"), Call(2**50, 0, b""), Call(3, FLAG_ERROR, b"x" * 40)]
EQUAL_CALLS = [Call(number, FLAG_TEXT, b"%02d" % number) for number in range(66)]
REPLIES = [Call(1, FLAG_TEXT, b"ok"), Call(2**64 - 1, FLAG_REFUSED, b"")]
MESSAGES = [
    StreamMessage(1, "", b"", b"21.5", FLAG_TEXT, NOW),
    StreamMessage(2, "lab.door", b"", b"", 0, NOW),
    StreamMessage(2**40, "tür", b"\x81\xa1a\x01", b"\xff" * 40, 0, NOW),
]
EQUAL_MESSAGES = [StreamMessage(number, "", b"", b"%02d" % number, 0, NOW) for number in range(1, 67)]
SETTLEMENTS = [
    Settlement(
        5, SettlementOutcome.NACK, 500, Failure("KeyError: 'door'", "Traceback (most recent call last):")
    ),
    Settlement(2**40, SettlementOutcome.RETURN),
    Settlement(7, SettlementOutcome.WORKING),
    Settlement(8, SettlementOutcome.NACK),
    Settlement(9, SettlementOutcome.REJECT, failure=Failure("no such door")),
]
JOINING: dict[int, Any] = {FrameKind.JOIN: Join, FrameKind.JOINED: Joined}
A_JOIN = Join(
    ID.hex(), "billing", named=True, durable=True, bindings=["lab.*.#", "=a*"], prefetch=9, node="é"
)
SPREAD = [(1, 5), (7, 7), (9, 400)]


# --- TXT records


def txt_seed(record: Advertisement) -> bytes:
    """Return port, number of addresses, and the record in its wire format (RFC 6763 §6.1)."""
    entries = [f"{key}={value}".encode() for key, value in to_txt(record).items()]
    return record.port.to_bytes(3, "big") + b"\x01" + b"".join(bytes([len(e)]) + e for e in entries)


def read_txt(data: bytes) -> None:
    addresses = ["", "192.0.2.7", "::1", "192.0.2", "fe80::1%2", "0.0.0.0", "x" * 300]
    txt: dict[str, str | None] = {}
    at = 4
    while at < len(data):
        key, equals, value = data[at + 1 : at + 1 + data[at]].partition(b"=")
        txt[key.decode(errors="replace")] = value.decode(errors="replace") if equals else None
        at += 1 + data[at]
    picked = (addresses[data[3] % len(addresses)],) if data[3:4].strip(b"\x00") else ()
    got = from_txt(txt, picked, int.from_bytes(data[:3], "big"))
    assert from_txt(to_txt(got), got.addresses, got.port) == got


RECORD = Advertisement(
    socket_id=ID,
    kind=advertisement.SocketKind.PUBLISHER,
    topic="lab.temperature",
    node="sensor",
    node_id=ID + ID,
    codec="json",
    host_id="0a1b2c3d",
    port=40000,
)
OTHER_RECORD = Advertisement(
    socket_id=ID[::-1],
    kind=advertisement.SocketKind.REPLY_SERVER,
    topic="door/open-close_",
    node="Tür",
    node_id=bytes(16),
    realm="lab",
    framing=Framing.RAW,
    port=1,
)


# --- errors and codecs


def read_error(data: bytes) -> None:
    error = decode_error(data)
    assert str(error) == f"{error.type_name}: {error.message}"


def read_plain_error(data: bytes) -> None:
    error = decode_plain_error(split(data))
    assert (error is None) is (len(split(data)) != 2 or split(data)[0] != b"")


VALUES = [{"sensor": "zq door", "celsius": 21.5, "tags": ["a", "b" * 40]}, [1, -1, 2**40, None, True], "zq é"]


def codec(spec: Any, messages: list[Any], *, text: bool = False) -> Decoder:
    ours = resolve_codec(spec)

    def decode(data: bytes) -> None:
        message = ours.unpack(data, text=text)
        if isinstance(spec, type):
            assert type(message) is spec
        if text:
            assert message.encode() == data

    return Decoder(decode, [ours.pack(message)[0] for message in messages], DecodeError)


DECODERS = {
    "publication": Decoder(read_message, PUBLICATIONS, FrameError),
    "acknowledgement": Decoder(read_ack, ACKS, NoneOfThese),
    "request": Decoder(
        partial(read_calls, kind=FrameKind.REQUEST),
        [encode_calls(FrameKind.REQUEST, NO_ID, some) for some in (CALLS[:1], CALLS, EQUAL_CALLS)],
        FrameError,
    ),
    "reply": Decoder(
        partial(read_calls, kind=FrameKind.REPLY),
        [encode_calls(FrameKind.REPLY, ID, some) for some in (CALLS[:1], CALLS, REPLIES)],
        FrameError,
    ),
    "delivery": Decoder(
        read_deliveries,
        [
            encode_deliveries(ID, MESSAGES[:1]),
            encode_deliveries(ID, MESSAGES[:2], [1, 3], [False, True]),
            encode_deliveries(ID, MESSAGES),
            encode_deliveries(ID, EQUAL_MESSAGES),
        ],
        FrameError,
    ),
    "settlement": Decoder(
        read_settle,
        [
            encode_settle(ID, [(1, 100)], []),
            encode_settle(ID, [(1, 1), (3, 9), (11, 2**64 - 1)], SETTLEMENTS[2:]),
            encode_settle(ID, [], SETTLEMENTS),
            encode_settle(ID, [], SETTLEMENTS[1:]),
        ],
        FrameError,
    ),
    "joining": Decoder(
        read_joining,
        [
            encode_control(FrameKind.JOIN, A_JOIN),
            encode_control(FrameKind.JOINED, Joined(ID.hex(), 30_000, "lab.orders")),
        ],
        FrameError,
    ),
    "ranges": Decoder(
        read_ranges,
        [
            RangeSet(some).encode()
            for some in (SPREAD[:1], SPREAD, [*SPREAD, (2**20, 2**20)], [(2**63, 2**64 - 5)])
        ],
        FrameError,
    ),
    "headers": Decoder(
        read_headers,
        [pack_headers({"trace": "4bf92f35", "numbers": [1, -2, 2.5, None]}), pack_headers({"é": {"a": b""}})],
        DecodeError,
    ),
    "envelope": Decoder(read_envelope, [b"|door", b"\x01\x02\x03\x04||door", b"door", b"hop|corr||a||b"]),
    "txt record": Decoder(read_txt, [txt_seed(RECORD), txt_seed(OTHER_RECORD)], AdvertisementError),
    "error": Decoder(
        read_error, [encode_error(ValueError("no such door")), encode_error(KeyError("é" * 40))]
    ),
    "plain error": Decoder(read_plain_error, [b"|".join(encode_plain_error(ValueError("no such door")))]),
    "plain text": codec(None, ["21.5 °C", "door"], text=True),
    "plain bytes": dataclasses.replace(codec(None, [b"\x00\xff", b"door"]), error=None),
    "json": codec("json", VALUES),
    "msgpack": codec("msgpack", [*VALUES, b"\x00\xff" * 20]),
    "cbor": codec("cbor", [*VALUES, b"\x00\xff" * 20, 2**70, {1, 2}, (1.5, "a")]),
    "protobuf": codec(Temperature, [Temperature(sensor="lab", celsius=21.5, taken_at_ms=1_700_000_000_000)]),
    "struct": codec(Reading, [Reading("lab", 21.5, ["a", "b"]), Reading("door", -1.0)]),
    "dataclass": codec(Position, [Position(1, [(2, 3), (4, 5)])]),
    # Its values name no module, so that no mutant finds anything to call.
    "pickle": codec("pickle", VALUES),
}
FRAMES = ["publication", "acknowledgement", "request", "reply", "delivery", "settlement"]
by_name = pytest.mark.parametrize("name", DECODERS)


def fuzz(name: str, count: int, run: str = "") -> Counter[str]:
    """Feed mutants to the decoder, and count the outcomes."""
    decoder = DECODERS[name]
    outcomes: Counter[str] = Counter()
    for number, data in enumerate(mutants(decoder.seeds, Random(name + run), count)):
        try:
            decoder.decode(data)
        except Exception as error:  # noqa: BLE001 - any other one is what is looked for
            if decoder.error is None or type(error) is not decoder.error:
                text = "".join(traceback.format_exception(error))
                raise AssertionError(f"{name}, mutant {number}: {data!r} raised\n{text}") from None
            outcomes["refused"] += 1
        else:
            outcomes["accepted"] += 1
    return outcomes


def check_outcomes(name: str, count: int, run: str = "") -> None:
    """Feed mutants to the decoder."""
    with memory_limit(MEMORY):
        outcomes = fuzz(name, count, run)
    assert outcomes.total() == count
    assert outcomes["accepted"] > 0
    assert (outcomes["refused"] > 0) is (DECODERS[name].error is not None)


@by_name
def test_every_valid_input_is_accepted(name: str) -> None:
    for seed in DECODERS[name].seeds:
        DECODERS[name].decode(seed)


@by_name
def test_a_mutant_is_accepted_and_consistent_or_refused_with_the_one_error(name: str) -> None:
    check_outcomes(name, -(-ALL_MUTANTS // len(DECODERS)))


@pytest.mark.slow
@pytest.mark.timeout(SECONDS)
@by_name
def test_millions_of_other_mutants_are_no_worse(name: str) -> None:
    check_outcomes(name, -(-MANY_MUTANTS // len(DECODERS)), "other")


@pytest.mark.slow
@pytest.mark.timeout(SECONDS)
@pytest.mark.parametrize("name", FRAMES)
def test_millions_of_mutated_frames_are_no_worse(name: str) -> None:
    check_outcomes(name, -(-MANY_MUTANTS // len(FRAMES)), "frames")


@pytest.mark.parametrize("name", FRAMES)
def test_what_a_mutated_frame_takes_of_memory_is_in_proportion_to_it(name: str) -> None:
    decoder = DECODERS[name]

    def decode(data: bytes) -> None:
        with contextlib.suppress(FrameError, NoneOfThese):
            decoder.decode(data)

    for data in mutants(decoder.seeds, Random(name + "memory"), FEW_MUTANTS):
        # of each short message there is an object, a view or both; and an error has its traceback
        assert peak_bytes(lambda data=data: decode(data)) < 80 * len(data) + 12_000, data  # type: ignore[misc]


def test_the_fuzzer_notices_another_error_and_shows_the_input(monkeypatch: pytest.MonkeyPatch) -> None:
    def faulty(data: bytes) -> None:
        if len(data) < 10:
            raise IndexError("index out of range")

    monkeypatch.setitem(DECODERS, "publication", Decoder(faulty, PUBLICATIONS, FrameError))
    with pytest.raises(AssertionError, match=r"(?s)publication, mutant \d+: b'.*IndexError"):
        fuzz("publication", FEW_MUTANTS)


def test_mutants_are_the_same_in_each_run_and_most_differ_from_their_seeds() -> None:
    first, second = ([*mutants(PUBLICATIONS, Random("again"), 300)] for _ in range(2))
    assert first == second
    assert sum(mutant in PUBLICATIONS for mutant in first) < 30


# --- that the mutants reach every line of the decoders

DECODING: dict[str, list[Callable[..., object]]] = {
    "publication": [
        publications.decode_publication,
        publications.decode_ack,
        publications.Publication.payloads,
        publications.Publication.texts,
    ],
    "call": [calls.decode_calls, calls.split_envelope],
    "delivery": [deliveries.decode_deliveries, deliveries._cut_parts, deliveries._cut_keys],
    "settlement": [settlements.decode_settle, settlements._decode_settlement],
    "ranges": [RangeSet.decode.__func__],  # type: ignore[attr-defined]
    "frame": functions_of(frames),
    "txt": [advertisement.from_txt, advertisement._decode_id],
    "error": [error_report.decode_error, error_report.decode_plain_error],
    "codec": [
        function
        for function in functions_of(codecs)
        if function.__name__ == "unpack"
        or (function.__name__ == "decode" and function is not codecs.Codec.decode)
    ],
}


@pytest.mark.slow
@pytest.mark.parametrize("part", DECODING)
def test_the_mutants_reach_every_line_of_the_decoders(part: str) -> None:
    functions = DECODING[part]
    with lines_run(*functions) as reached:
        for name in DECODERS:
            fuzz(name, FEW_MUTANTS)
    wanted = code_lines(*functions)
    assert len(wanted) > 5
    assert wanted - set(reached) == set()


@pytest.mark.slow
@pytest.mark.parametrize("part", ["publication", "call", "frame", "delivery", "settlement"])
def test_the_mutants_reach_every_branch_of_the_decoders_of_frames(part: str) -> None:
    functions = DECODING[part]
    with branches_run(*functions) as reached:
        for name in (*FRAMES, "envelope"):
            fuzz(name, ALL_MUTANTS // len(DECODERS))
    wanted = branches(*functions)
    assert len(wanted) > 5
    assert wanted - reached == set()


def test_every_decoder_of_the_protocol_is_under_test() -> None:
    public = {
        function.__name__
        for module in (
            advertisement,
            calls,
            deliveries,
            error_report,
            frames,
            message_parts,
            publications,
            ranges,
            settlements,
        )
        for function in functions_of(module)
        if function.__name__.startswith(("decode_", "from_", "split_", "unpack_"))
    }
    assert public == {
        "decode_publication",
        "decode_ack",
        "decode_calls",
        "split_envelope",
        "decode_deliveries",
        "decode_settle",
        "unpack_headers",
        "decode_error",
        "decode_plain_error",
        "from_txt",
    }

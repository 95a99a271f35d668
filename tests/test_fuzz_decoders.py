"""Every decoder of what strangers can send, fed with mutants of valid input.

A decoder may accept a mutant or raise its one error; what it accepts has to be consistent. The mutants
are the same in each run, and a failure shows the bytes.
"""

import dataclasses
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

import msgspec
import pytest

from colugo.errors import AdvertisementError, DecodeError, FrameError
from colugo.protocol import advertisement, codecs, error_report, frames
from colugo.protocol.advertisement import Advertisement, Framing, from_txt, to_txt
from colugo.protocol.codecs import resolve_codec
from colugo.protocol.error_report import decode_error, decode_plain_error, encode_error, encode_plain_error
from colugo.protocol.frames import (
    FLAG_ERROR,
    FLAG_TEXT,
    NO_ID,
    READER_PREFIX,
    Call,
    Kind,
    decode_calls,
    decode_publication,
    encode_calls,
    encode_publication,
    split_envelope,
)
from proto.lab_pb2 import Temperature
from tests.memory import memory_limit
from tests.mutation import mutants
from tests.tracing import code_lines, functions_of, lines_run

ALL_MUTANTS = 200_000
MANY_MUTANTS = 3_000_000
FEW_MUTANTS = 1_200
ID = b"\x00\x01\x02\x03\xfc\xfd\xfe\xff"
MEMORY = 256 << 20
"""What no input of some hundred bytes may ask for."""


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


def read_publication(data: bytes) -> None:
    start = 9 if data.startswith(READER_PREFIX) else 0
    got = decode_publication(data, start)
    again = encode_publication(
        got.publisher, got.first_sequence, got.sent_ns, got.payloads, text=got.text, kind=got.kind
    )
    assert again == data[start:]


def read_calls(kind: Kind) -> Callable[[bytes], None]:
    def read(data: bytes) -> None:
        got = decode_calls(data, kind)
        assert encode_calls(kind, got.server, got.calls) == data

    return read


def split(data: bytes) -> list[bytes]:
    """Bytes as the frames of one message: so mutants change their number and lengths too."""
    return data.split(b"|")


def read_envelope(data: bytes) -> None:
    envelope, body = split_envelope(split(data))
    assert envelope + body == split(data)
    assert not envelope or envelope[-1] == b""
    assert b"" not in envelope[:-1]


PUBLICATIONS = [
    encode_publication(ID, 5, 1_700_000_000_000_000_000, [b"21.5"], text=True),
    encode_publication(ID, 2**40, 7, [b"", b"a", b"bc" * 40], text=False),
    READER_PREFIX + ID + encode_publication(ID, 5, 6, [], text=False, kind=Kind.WELCOME),
]
CALLS = [Call(1, FLAG_TEXT, b"door"), Call(2**50, 0, b""), Call(3, FLAG_ERROR, b"x" * 40)]


# --- TXT records


def txt_seed(record: Advertisement) -> bytes:
    """Port, number of addresses, and the record in its form on the wire (RFC 6763 §6.1)."""
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
    kind=advertisement.Kind.PUBLISHER,
    topic="lab.temperature",
    node="sensor",
    node_id=ID + ID,
    codec="json",
    host_id="0a1b2c3d",
    port=40000,
)
OTHER_RECORD = Advertisement(
    socket_id=ID[::-1],
    kind=advertisement.Kind.REPLY_SERVER,
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
    "publication": Decoder(read_publication, PUBLICATIONS, FrameError),
    "request": Decoder(read_calls(Kind.REQUEST), [encode_calls(Kind.REQUEST, NO_ID, CALLS)], FrameError),
    "reply": Decoder(
        read_calls(Kind.REPLY),
        [encode_calls(Kind.REPLY, ID, CALLS[:1]), encode_calls(Kind.REPLY, ID, CALLS)],
        FrameError,
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
by_name = pytest.mark.parametrize("name", DECODERS)


def fuzz(name: str, count: int, run: str = "") -> Counter[str]:
    """Feed so many mutants to the decoder; count what became of them."""
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


def check_outcomes(name: str, total: int, run: str = "") -> None:
    """Give the decoder its part of so many mutants."""
    count = -(-total // len(DECODERS))
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
    check_outcomes(name, ALL_MUTANTS)


@pytest.mark.slow
@by_name
def test_millions_of_other_mutants_are_no_worse(name: str) -> None:
    check_outcomes(name, MANY_MUTANTS, "other")


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
        function
        for function in functions_of(frames)
        if function.__name__.startswith(("decode_", "_", "split_"))
    ],
    "txt": [advertisement.from_txt, advertisement._decode_id],
    "error": [error_report.decode_error, error_report.decode_plain_error],
    "codec": [
        function
        for function in functions_of(codecs)
        if function.__name__ == "unpack"
        or (function.__name__ == "decode" and function is not codecs.Codec.decode)
    ],
}


@pytest.mark.parametrize("part", DECODING)
def test_the_mutants_reach_every_line_of_the_decoders(part: str) -> None:
    functions = DECODING[part]
    with lines_run(*functions) as reached:
        for name in DECODERS:
            fuzz(name, FEW_MUTANTS)
    wanted = code_lines(*functions)
    assert len(wanted) > 5
    assert wanted - set(reached) == set()


def test_every_decoder_of_the_protocol_is_under_test() -> None:
    public = {
        function.__name__
        for module in (frames, error_report, advertisement)
        for function in functions_of(module)
        if function.__name__.startswith(("decode_", "from_", "split_"))
    }
    assert public == {
        "decode_publication",
        "decode_calls",
        "split_envelope",
        "decode_error",
        "decode_plain_error",
        "from_txt",
    }

"""Codecs: messages round-trip, and malformed ones raise only DecodeError."""

import pickle
from array import array
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from colugo.errors import ConfigurationError, DecodeError, EncodeError
from colugo.protocol import codecs
from colugo.protocol.codecs import PLAIN, Codec, resolve_codec
from colugo.protocol.frames import LARGE_BYTES
from proto.lab_pb2 import Temperature
from tests.support.memory import memory_limit, peak_bytes
from tests.support.strategies import json_values, msgpack_values, texts

MIB = 1 << 20


class Reading(msgspec.Struct):
    sensor: str
    celsius: float
    tags: list[str] = []
    raw: bytes | None = None


@dataclass
class Position:
    x: int
    y: int
    label: str = "none"
    path: list[tuple[int, int]] = field(default_factory=list)


class Reversed(Codec):
    """A user-defined codec."""

    name = "reversed"

    def encode(self, message: Any) -> bytes:
        return str(message)[::-1].encode("ascii")

    def decode(self, data: bytes) -> Any:
        return data.decode("ascii")[::-1]


class Buffered(Codec):
    """A codec that encodes to a buffer."""

    name = "buffered"

    def encode(self, message: Any) -> Any:
        return message

    def decode(self, data: Any) -> Any:
        return data


SPECS = [None, "json", "msgpack", "cbor", Temperature, Reading, Position, Reversed()]
"""All kinds of codecs but pickle, which is unsafe to fuzz."""
readings = st.builds(
    Reading,
    sensor=texts,
    celsius=st.floats(allow_nan=False),
    tags=st.lists(texts),
    raw=st.none() | st.binary(),
)
small = st.integers(-1000, 1000)
positions = st.builds(Position, x=small, y=small, label=texts, path=st.lists(st.tuples(small, small)))


def shown(value: Any) -> str:
    """Return the name of a test case."""
    return resolve_codec(value).name if value is None or isinstance(value, type | Codec) else repr(value)[:30]


def over_the_wire(spec: Any, message: Any) -> Any:
    """Return a message after a round trip."""
    codec = resolve_codec(spec)
    payload, text = codec.pack(message)
    assert type(payload) is bytes
    assert not text or codec is PLAIN
    return codec.unpack(payload, text=text)


# --- what is sent is what arrives


@given(texts | st.binary())
def test_plain_text_arrives_as_str_and_bytes_as_bytes(message: str | bytes) -> None:
    got = over_the_wire(None, message)
    assert got == message
    assert type(got) is type(message)


@pytest.mark.parametrize("message", [bytearray(b"abc"), memoryview(b"abc"), memoryview(b"a_b_c")[::2]])
def test_other_bytes_arrive_as_bytes(message: Any) -> None:
    assert over_the_wire(None, message) == b"abc"


@pytest.mark.parametrize("make", [bytearray, memoryview, lambda data: memoryview(bytearray(data))])
@pytest.mark.parametrize("size", [0, 1, LARGE_BYTES, LARGE_BYTES + 1, 100_000])
@pytest.mark.parametrize("spec", [None, "own"])
def test_a_buffer_is_copied_up_to_32_kib_and_passed_on_as_a_view_if_it_is_larger(
    spec: Any, size: int, make: Callable[[bytes], bytearray | memoryview]
) -> None:
    buffer = make(bytes(range(256)) * (size // 256 + 1))[:size]
    codec = Buffered() if spec else PLAIN
    payload, text = codec.pack(buffer)
    assert text is False
    assert payload == buffer
    assert len(payload) == size
    if size <= LARGE_BYTES:
        assert type(payload) is bytes
    else:
        assert type(payload) is memoryview
        assert payload.obj is (buffer.obj if isinstance(buffer, memoryview) else buffer)


def test_a_large_buffer_takes_no_memory_and_a_small_one_may_be_changed_after_it_was_sent() -> None:
    large = bytearray(MIB)
    assert peak_bytes(lambda: PLAIN.pack(large)) < 1000
    small = bytearray(b"abc")
    payload, _ = PLAIN.pack(small)
    small[0] = 0
    assert payload == b"abc"


def test_of_a_view_of_any_shape_the_bytes_are_passed_on() -> None:
    numbers = memoryview(array("i", range(40_000)))
    payload, _ = PLAIN.pack(numbers)
    assert (payload.format, payload.shape) == ("B", (numbers.nbytes,))
    assert payload == numbers.tobytes()
    every_other = memoryview(bytes(range(256)) * 1000)[::2]
    payload, _ = PLAIN.pack(every_other)
    assert type(payload) is bytes
    assert payload == every_other.tobytes()
    table = numbers.cast("B").cast("i", (200, 200))
    assert PLAIN.pack(table)[0] == table.tobytes()


def outcome(codec: Codec, data: Any) -> str:
    """Return the decoded payload, or the error."""
    try:
        message = codec.unpack(data, text=False)
    except DecodeError as error:
        return str(error)
    return repr(bytes(message) if isinstance(message, memoryview) else message)


@given(st.binary(max_size=200))
def test_codecs_decode_views_as_they_decode_bytes(data: bytes) -> None:
    for spec in (None, "json", "msgpack", "cbor", Temperature, Reading, Position):
        codec = resolve_codec(spec)
        assert outcome(codec, memoryview(data)) == outcome(codec, data)
    for spec, message in ((None, data), ("msgpack", [data]), (Reading, Reading("lab", 21.5, raw=data))):
        codec = resolve_codec(spec)
        payload, _ = codec.pack(message)
        assert outcome(codec, memoryview(payload)) == repr(message)


@given(json_values)
def test_json_values_arrive_as_they_were(message: object) -> None:
    assert repr(over_the_wire("json", message)) == repr(message)


@given(msgpack_values)
def test_msgpack_values_arrive_as_they_were(message: object) -> None:
    assert repr(over_the_wire("msgpack", message)) == repr(message)


@given(msgpack_values | st.integers())
@example(2**70)
@example(-(2**70))
def test_cbor_values_arrive_as_they_were(message: object) -> None:
    assert repr(over_the_wire("cbor", message)) == repr(message)


@given(msgpack_values | st.tuples(st.integers(), texts) | st.complex_numbers(allow_nan=False))
def test_pickle_takes_any_object(message: object) -> None:
    assert repr(over_the_wire("pickle", message)) == repr(message)


@given(st.builds(Temperature, sensor=texts, celsius=st.floats(allow_nan=False), taken_at_ms=small))
def test_protobuf_messages_arrive_as_they_were(message: Temperature) -> None:
    got = over_the_wire(Temperature, message)
    assert got == message
    assert type(got) is Temperature


@given(readings)
def test_structs_arrive_as_they_were(message: Reading) -> None:
    got = over_the_wire(Reading, message)
    assert got == message
    assert type(got) is Reading


@given(positions)
def test_dataclasses_arrive_as_they_were(message: Position) -> None:
    assert over_the_wire(Position, message) == message


@given(st.text(st.characters(codec="ascii")))
def test_a_codec_of_a_users_own_is_used_as_it_is(message: str) -> None:
    assert over_the_wire(Reversed(), message) == message


def test_a_newer_sender_may_have_more_fields_and_an_older_one_less() -> None:
    codec = resolve_codec(Position)
    assert codec.unpack(msgspec.msgpack.encode({"x": 1, "y": 2, "z": 3}), text=False) == Position(1, 2)
    with pytest.raises(DecodeError, match="missing required field `y`"):
        codec.unpack(msgspec.msgpack.encode({"x": 1}), text=False)


def test_a_field_of_another_type_does_not_decode() -> None:
    with pytest.raises(DecodeError, match=r"not msgpack Reading: .*celsius"):
        resolve_codec(Reading).unpack(msgspec.msgpack.encode({"sensor": "a", "celsius": "warm"}), text=False)


# --- what cannot be sent


@pytest.mark.parametrize("message", [None, 5, 2.5, ["a"], {"a": 1}, object(), Temperature()])
def test_an_object_without_a_codec_is_a_type_error_that_names_the_codecs(message: Any) -> None:
    with pytest.raises(TypeError) as caught:
        PLAIN.pack(message)
    assert type(caught.value) is EncodeError
    assert f"a {type(message).__name__} cannot be sent as it is" in str(caught.value)
    for name in ('"json"', '"msgpack"', '"cbor"', "protobuf", "msgspec.Struct", "dataclass"):
        assert name in str(caught.value)


def nest(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


def cycle() -> list[Any]:
    value: list[Any] = []
    value.append(value)
    return value


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("json", object()),
        ("json", "\ud800"),
        ("json", {1.5: {2: object()}}),
        ("msgpack", {"a": object()}),
        ("msgpack", 2**64),
        ("msgpack", nest(100_000)),
        ("cbor", object()),
        ("cbor", "\ud800"),
        ("cbor", cycle()),
        ("pickle", lambda: None),
        ("pickle", nest(100_000)),
        (Temperature, Reading("a", 1.0)),
        (Temperature, None),
        (Reading, {"sensor": "a", "celsius": 1.0}),
        (Reading, Position(1, 2)),
        (Reading, Reading(object(), 1.0)),  # type: ignore[arg-type]
        (Position, Temperature()),
        (Reversed(), "é"),
    ],
)
def test_what_a_codec_cannot_take_is_a_type_error_that_names_type_and_codec(spec: Any, message: Any) -> None:
    codec = resolve_codec(spec)
    with pytest.raises(TypeError) as caught:
        codec.pack(message)
    assert type(caught.value) is EncodeError
    assert f"a {type(message).__name__} " in str(caught.value)
    assert codec.name.split()[-1].rpartition(".")[2] in str(caught.value)


def test_a_text_that_utf8_cannot_carry_is_an_encode_error() -> None:
    with pytest.raises(EncodeError, match="UTF-8"):
        PLAIN.pack("door \ud800")


@pytest.mark.parametrize("encoded", ["text", None, 5])
def test_an_own_codec_that_encodes_to_something_else_than_bytes_is_found_at_the_send(encoded: Any) -> None:
    class Careless(Reversed):
        def encode(self, message: Any) -> Any:
            return encoded

    with pytest.raises(EncodeError, match=f"reversed.*{type(encoded).__name__}"):
        Careless().pack("a")


def test_an_encode_error_of_an_own_codec_goes_through_as_it_is() -> None:
    class Strict(Reversed):
        def encode(self, message: Any) -> bytes:
            raise EncodeError("only on Sundays")

    with pytest.raises(EncodeError, match=r"^only on Sundays$"):
        Strict().pack("a")


def test_a_codec_that_is_only_half_written_says_so_when_it_is_used() -> None:
    class Half(Codec):
        name = "half"

    with pytest.raises(EncodeError, match="half"):
        Half().pack("a")
    with pytest.raises(DecodeError, match="half"):
        Half().unpack(b"a", text=False)


# --- what does not decode


@pytest.mark.parametrize("spec", SPECS, ids=shown)
@given(data=st.binary(max_size=200), text=st.booleans())
@example(data=b"", text=True)
@example(data=b"\xff\xfe", text=True)
@example(data=b'{"a":', text=False)
def test_arbitrary_bytes_decode_to_something_or_are_a_decode_error(
    spec: Any, data: bytes, *, text: bool
) -> None:
    codec = resolve_codec(spec)
    try:
        message = codec.unpack(data, text=text)
    except DecodeError as error:
        assert codec.name in str(error) or "UTF-8" in str(error)  # noqa: PT017 - both outcomes are right
    else:
        if isinstance(spec, type):
            assert type(message) is spec


def test_a_text_that_is_not_utf8_is_a_decode_error() -> None:
    with pytest.raises(DecodeError, match="not UTF-8"):
        PLAIN.unpack(b"caf\xe9", text=True)
    assert PLAIN.unpack(b"caf\xe9", text=False) == b"caf\xe9"


def test_a_decode_error_says_how_many_bytes_and_why_and_keeps_the_cause() -> None:
    with pytest.raises(DecodeError, match="4 bytes are not json: ") as caught:
        resolve_codec("json").unpack(b"lab!", text=False)
    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value.__cause__, msgspec.DecodeError)


@pytest.mark.parametrize("data", [b"", b"garbage", b"cos\nno_such_name\n.", pickle.dumps([1])[:-2]])
def test_a_pickle_that_does_not_load_is_a_decode_error(data: bytes) -> None:
    with pytest.raises(DecodeError, match="not pickle"):
        resolve_codec("pickle").unpack(data, text=False)


@pytest.mark.parametrize("depth", [2_000, 1_000_000])
@pytest.mark.parametrize(
    ("spec", "level"),
    [
        ("json", b"["),
        ("json", b'{"a":'),
        ("msgpack", b"\x91"),
        ("msgpack", b"\x81\xa1a"),
        ("cbor", b"\x81"),
        ("cbor", b"\x9f"),
        ("cbor", b"\xa1\x61a"),
        ("cbor", b"\xa1"),
        ("cbor", b"\xc1"),
        ("cbor", b"\xd8\x1c\x81"),
        (Temperature, b"\x23"),
        (Reading, b"\x81\xa1a"),
        (Position, b"\x91"),
    ],
)
def test_endless_nesting_is_a_decode_error_and_takes_little_memory(
    spec: Any, level: bytes, depth: int
) -> None:
    data, codec = level * depth, resolve_codec(spec)

    def decode() -> None:
        with pytest.raises(DecodeError):
            codec.unpack(data, text=False)

    assert peak_bytes(decode) < MIB


def declared_lengths() -> list[tuple[Any, bytes]]:
    """Collect headers that announce far more bytes than follow."""
    msgpack = [bytes([sign]) + b"\xff" * 4 for sign in (0xC6, 0xC9, 0xDB, 0xDD, 0xDF)]
    cbor = [
        bytes([kind + 27]) + length.to_bytes(8, "big")
        for kind in (0x40, 0x60, 0x80, 0xA0)
        for length in (2**31 - 1, 2**40, 2**63 - 1, 2**64 - 1)
    ]
    protobuf = [b"\x0a\xff\xff\xff\xff\x07", b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\x7f"]
    reading = [
        b"\x82\xa6sensor\xdb\xff\xff\xff\xff",
        b"\x82\xa4tags\xdd\xff\xff\xff\xff",
        b"\xdf\xff\xff\xff\xff",
    ]
    return [
        *[("msgpack", data) for data in msgpack],
        *[("cbor", data) for data in cbor],
        *[(Temperature, data) for data in protobuf],
        *[(Reading, data) for data in reading],
        (Position, b"\x81\xa4path\xdd\xff\xff\xff\xff"),
    ]


@pytest.mark.parametrize(("spec", "data"), declared_lengths(), ids=shown)
@pytest.mark.parametrize("tail", [b"", b"\x00" * 1000])
def test_a_huge_declared_length_is_a_decode_error_before_memory_is_asked_for(
    spec: Any, data: bytes, tail: bytes
) -> None:
    codec = resolve_codec(spec)

    def decode() -> None:
        with memory_limit(64 * MIB), pytest.raises(DecodeError) as caught:
            codec.unpack(data + tail, text=False)
        assert not isinstance(caught.value.__cause__, MemoryError)

    assert peak_bytes(decode) < MIB


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="only Linux tells a process its size")
def test_the_limit_that_these_tests_set_holds() -> None:
    with memory_limit(64 * MIB), pytest.raises(MemoryError):
        bytes(128 * MIB)
    assert len(bytes(128 * MIB)) == 128 * MIB


# --- choosing a codec


def test_no_codec_means_str_and_bytes_as_they_are() -> None:
    assert resolve_codec(None) is PLAIN
    assert PLAIN.name == "plain"


def test_a_codec_of_ones_own_is_taken_as_it_is() -> None:
    codec = Reversed()
    assert resolve_codec(codec) is codec


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        ("json", "json"),
        ("msgpack", "msgpack"),
        ("cbor", "cbor"),
        ("pickle", "pickle"),
        (Temperature, "protobuf lab.Temperature"),
        (Reading, "msgpack Reading"),
        (Position, "msgpack Position"),
    ],
)
def test_a_codec_has_the_name_that_advertisements_show(spec: Any, name: str) -> None:
    assert resolve_codec(spec).name == name


@pytest.mark.parametrize(
    "spec", ["yaml", "JSON", "", 5, dict, object, Position(1, 2), Reading("a", 1.0), Codec]
)
def test_what_is_no_codec_is_refused_with_the_names_of_those_there_are(spec: Any) -> None:
    with pytest.raises(ConfigurationError) as caught:
        resolve_codec(spec)
    assert repr(spec) in str(caught.value)
    assert '"msgpack"' in str(caught.value)


def test_pickle_is_had_by_its_name_only_and_says_what_a_sender_can_do() -> None:
    with pytest.raises(ConfigurationError) as caught:
        resolve_codec("pikle")
    assert "pickle" not in str(caught.value)
    assert resolve_codec.__doc__ is not None
    assert "run code" in resolve_codec.__doc__


def test_cbor_without_its_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codecs, "cbor2", None)
    with pytest.raises(ConfigurationError, match=r'pip install "colugo\[cbor\]"'):
        resolve_codec("cbor")

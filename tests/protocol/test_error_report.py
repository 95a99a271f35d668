"""Error reports: any exception can be sent, and any payload decoded."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from colugo.errors import RemoteError
from colugo.protocol.error_report import decode_error, decode_plain_error, encode_error, encode_plain_error
from tests.support.strategies import texts


class UnspeakableError(Exception):
    """An error whose text raises."""

    def __str__(self) -> str:
        raise RuntimeError("no text today")


@given(texts)
def test_an_exception_arrives_as_a_remote_error_with_its_type_and_text(message: str) -> None:
    got = decode_error(encode_error(ValueError(message)))
    assert (got.type_name, got.message) == ("ValueError", message)
    assert str(got) == f"ValueError: {message}"


def test_a_key_error_keeps_the_quotes_that_its_text_has() -> None:
    assert str(decode_error(encode_error(KeyError("door")))) == "KeyError: 'door'"


def test_a_remote_error_that_is_passed_on_stays_what_it_was() -> None:
    error = RemoteError("KeyError", "'door'")
    assert decode_error(encode_error(error)).type_name == "KeyError"
    plain = decode_plain_error(encode_plain_error(error))
    assert plain is not None
    assert (plain.type_name, plain.message) == ("KeyError", "'door'")


@pytest.mark.parametrize(
    "error", [OSError("no file \udcff"), UnicodeDecodeError("utf-8", b"\xff", 0, 1, "\ud800")]
)
def test_an_error_with_text_that_utf8_cannot_carry_arrives_all_the_same(error: Exception) -> None:
    name = type(error).__name__
    assert decode_error(encode_error(error)).type_name == name
    plain = decode_plain_error(encode_plain_error(error))
    assert plain is not None
    assert plain.type_name == name


def test_an_error_whose_text_cannot_be_had_arrives_with_its_type() -> None:
    error = UnspeakableError()
    assert decode_error(encode_error(error)).type_name == "UnspeakableError"
    plain = decode_plain_error(encode_plain_error(error))
    assert plain is not None
    assert plain.type_name == "UnspeakableError"


@given(st.binary(max_size=100))
def test_any_bytes_stand_for_some_remote_error(payload: bytes) -> None:
    error = decode_error(payload)
    assert isinstance(error.type_name, str)
    assert isinstance(error.message, str)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xc1",
        b"\x80",
        b"\x92\xa1a\xa1b",
        b"\x82\xa9type_name\xa1\xff\xa7message\xa0",
        b"\x82\xa9type_name\x01\xa7message\xa0",
        b"\x82\xa9type_name\xdb\xff\xff\xff\xff",
        b"\x91" * 100_000,
        b"\x81\xa1x" + b"\x91" * 2_000,
        b"\x81\xa1x" + b"\x91" * 1_000_000,
        b"\x81\xa1x" + b"\x81\xa1x" * 1_000_000,
    ],
    ids=range(11),
)
def test_a_report_that_does_not_decode_says_its_size(payload: bytes) -> None:
    error = decode_error(payload)
    assert error.type_name == "unknown"
    assert error.message == f"an error report of {len(payload)} bytes that does not decode"


def test_a_newer_report_with_more_fields_is_read() -> None:
    payload = msgspec.msgpack.encode({"type_name": "A", "message": "b", "traceback": ["c"]})
    assert str(decode_error(payload)) == "A: b"


# --- plain ZeroMQ


@given(texts)
def test_a_plain_requester_gets_an_empty_frame_and_the_text(message: str) -> None:
    frames = encode_plain_error(ValueError(message))
    assert frames == [b"", f"ValueError: {message}".encode()]
    got = decode_plain_error(frames)
    assert got is not None
    assert (got.type_name, got.message) == ("ValueError", message)


@pytest.mark.parametrize("frames", [[], [b""], [b"answer"], [b"a", b"b"], [b"", b"a", b"b"]])
def test_other_frames_of_a_plain_replier_are_a_reply(frames: list[bytes]) -> None:
    assert decode_plain_error(frames) is None


@given(st.binary())
def test_any_text_after_an_empty_frame_stands_for_some_remote_error(text: bytes) -> None:
    error = decode_plain_error([b"", text])
    assert error is not None
    assert ": " not in error.type_name

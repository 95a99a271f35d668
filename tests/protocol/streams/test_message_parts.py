"""Keys, headers and names of groups."""

from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from colugo.errors import ConfigurationError, DecodeError, EncodeError
from colugo.protocol.streams.message_parts import (
    MAX_GROUP_BYTES,
    MAX_HEADERS_BYTES,
    MAX_KEY_BYTES,
    check_group,
    check_key,
    pack_headers,
    unpack_headers,
)
from tests.support.mutation import mutants
from tests.support.strategies import msgpack_values, texts


@given(st.text())
@example("x" * MAX_KEY_BYTES)
@example("x" * (MAX_KEY_BYTES + 1))
@example("é" * 127)
@example("é" * 128)
@example("a\ud800")
@example("")
def test_a_text_is_a_key_if_it_fits_into_255_bytes_of_utf8(text: str) -> None:
    carried = not any("\ud800" <= sign <= "\udfff" for sign in text)
    if carried and len(text.encode()) <= MAX_KEY_BYTES:
        assert check_key(text) is text
    else:
        with pytest.raises(ConfigurationError, match="key"):
            check_key(text)


@given(st.text())
@example("x" * MAX_GROUP_BYTES)
@example("x" * (MAX_GROUP_BYTES + 1))
@example("é" * 51)
@example("Rechnungen für alle")
@example("a\nb")
@example("a\ud800")
def test_a_text_is_a_name_of_a_group_if_it_is_printable_and_has_1_to_100_bytes(text: str) -> None:
    if text.isprintable() and 1 <= len(text.encode(errors="replace")) <= MAX_GROUP_BYTES:
        assert check_group(text) is text
    else:
        with pytest.raises(ConfigurationError, match="group's name"):
            check_group(text)


@pytest.mark.parametrize("check", [check_key, check_group])
@pytest.mark.parametrize("thing", [None, 5, b"lab", ["lab"]])
def test_what_is_no_str_is_refused_with_its_type_and_value(check: Any, thing: Any) -> None:
    with pytest.raises(ConfigurationError, match=f"must be a str, not {type(thing).__name__}") as caught:
        check(thing)
    assert repr(thing) in str(caught.value)


@pytest.mark.parametrize("check", [check_key, check_group])
def test_the_error_of_a_long_text_is_short_and_has_the_sizes(check: Any) -> None:
    with pytest.raises(
        ConfigurationError, match=r"at most \d+ bytes of UTF-8, this has 20000: 'ééé"
    ) as caught:
        check("é" * 10_000)
    assert len(str(caught.value)) < 150


# --- headers


@given(st.dictionaries(texts, msgpack_values, max_size=5))
@example({})
def test_headers_come_back_as_they_were(headers: dict[str, Any]) -> None:
    packed = pack_headers(headers)
    assert bool(packed) is bool(headers)
    assert unpack_headers(packed) == headers


def test_no_headers_are_no_bytes() -> None:
    assert pack_headers(None) == b""
    assert unpack_headers(b"") == {}


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ([("a", 1)], r"headers must be a dict, not list: \[\('a', 1\)\]"),
        ([], "headers must be a dict, not list"),
        ("", "headers must be a dict, not str"),
        ({5: "a"}, "the name of a header must be a str, not int: 5"),
        ({"a": object()}, "headers that msgpack cannot encode: .*object"),
        ({"a": 2**64}, "headers that msgpack cannot encode"),
        ({"a": "\ud800"}, "headers that msgpack cannot encode"),
        ({"\ud800": 1}, "headers that msgpack cannot encode"),
        ({"a": "x" * MAX_HEADERS_BYTES}, "at most 65535 bytes, these take 65541"),
    ],
)
def test_what_can_be_no_headers_is_refused_with_the_reason(headers: Any, reason: str) -> None:
    with pytest.raises(EncodeError, match=reason):
        pack_headers(headers)


def test_headers_that_hold_themselves_are_refused() -> None:
    headers: dict[str, Any] = {}
    headers["self"] = headers
    with pytest.raises(EncodeError, match="cannot encode"):
        pack_headers(headers)


def test_the_longest_headers_can_be_sent() -> None:
    headers = {"a": "x" * (MAX_HEADERS_BYTES - 6)}
    assert len(pack_headers(headers)) == MAX_HEADERS_BYTES
    assert unpack_headers(pack_headers(headers)) == headers


@pytest.mark.parametrize(
    "packed",
    [b"\xc1", b"\x81", b"\x90", b"\x81\x01\x02", b"\x80\x80", b"\x81\xa1\xff\x01", b"\x81\xa1a\x81\x80\x01"],
)
def test_bytes_that_are_no_headers_are_refused(packed: bytes) -> None:
    with pytest.raises(DecodeError, match=f"{len(packed)} bytes that are not headers"):
        unpack_headers(packed)


def test_deep_headers_of_a_stranger_are_refused() -> None:
    with pytest.raises(DecodeError, match="not headers"):
        unpack_headers(b"\x81\xa1a" + b"\x91" * 60_000 + b"\x00")


def test_mutants_of_headers_are_dicts_with_str_keys_or_refused() -> None:
    seed = msgspec.msgpack.encode({"trace": "4bf92f35", "n": [1, -2, 2.5, None], "é": {"a": b"\x00"}})
    outcomes = set()
    for data in mutants([seed], Random(1), 5000):
        try:
            found = unpack_headers(data)
        except DecodeError:
            outcomes.add(False)
        else:
            assert all(type(name) is str for name in found)
            outcomes.add(True)
    assert outcomes == {True, False}

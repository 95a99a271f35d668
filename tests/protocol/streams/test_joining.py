"""The frames of joining: they round-trip, and invalid ones are rejected with the reason."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from colugo.errors import ConfigurationError, FrameError
from colugo.protocol.frames import FrameKind
from colugo.protocol.membership.control import decode_body, decode_control, encode_control
from colugo.protocol.membership.entries import Refusal
from colugo.protocol.streams.bindings import exact
from colugo.protocol.streams.joining import Join, Joined
from tests.support.strategies import json_values

ID = "0102030405060708"
JOIN = Join(
    ID, "billing", named=True, durable=True, bindings=["lab.#", exact("a*")], prefetch=100, node="lab"
)
JOINED = Joined(ID, 30_000, "lab.orders")
UNORDERED = Joined(ID, 30_000, "lab.orders", ID, 7, 1, "none")


@pytest.mark.parametrize(
    ("kind", "body"), [(FrameKind.JOIN, JOIN), (FrameKind.JOINED, JOINED), (FrameKind.JOINED, UNORDERED)]
)
def test_both_come_back_as_they_were(kind: FrameKind, body: Any) -> None:
    found, encoded = decode_control(encode_control(kind, body))
    assert found is kind
    assert decode_body(encoded, type(body)) == body


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"consumer": ID[:-1]}, "regex"),
        ({"consumer": ID + "\n"}, "regex"),
        ({"consumer": "A" * 16}, "regex"),
        ({"group": ""}, "a group's name must not be empty"),
        ({"group": "a\n"}, "printable"),
        ({"group": "x" * 101}, "at most 100 bytes"),
        ({"bindings": []}, "1 to 1000 bindings"),
        ({"bindings": ["#"] * 1001}, "1 to 1000 bindings"),
        ({"bindings": ["lab*"]}, "whole words"),
        ({"bindings": ["x" * 256]}, "at most 255 bytes"),
        ({"bindings": "#"}, "Expected `array`"),
        ({"prefetch": -1}, ">= 0"),
        ({"prefetch": 65_536}, "<= 65535"),
        ({"prefetch": 1.5}, "Expected `int`"),
        ({"durable": None}, "Expected `bool`"),
        ({"named": 1}, "Expected `bool`"),
        ({"node": "x" * 257}, "length <= 256"),
    ],
)
def test_a_join_that_breaks_a_rule_is_refused_with_the_reason(change: dict[str, Any], reason: str) -> None:
    body = json.dumps({**msgspec.to_builtins(JOIN), **change}).encode()
    with pytest.raises(FrameError, match=reason) as caught:
        decode_body(body, Join)
    refusal = encode_control(FrameKind.REFUSAL, Refusal.of(str(caught.value)))
    assert decode_body(decode_control(refusal)[1], Refusal).reason in str(caught.value)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"stream": ""}, "regex"),
        ({"ack_timeout_ms": 0}, ">= 1"),
        ({"ack_timeout_ms": 2**53}, "<= 9007199254740991"),
        ({"topic": ""}, "length >= 1"),
        ({"topic": "x" * 201}, "length <= 200"),
        ({"order": "strict"}, "Invalid enum value"),
    ],
)
def test_an_answer_that_breaks_a_rule_is_refused_with_the_reason(change: dict[str, Any], reason: str) -> None:
    with pytest.raises(FrameError, match=reason):
        decode_body(json.dumps({**msgspec.to_builtins(JOINED), **change}).encode(), Joined)


@pytest.mark.parametrize("left_out", msgspec.to_builtins(JOIN))
def test_a_join_says_everything(left_out: str) -> None:
    body = msgspec.to_builtins(JOIN)
    del body[left_out]
    with pytest.raises(FrameError, match=left_out):
        decode_body(json.dumps(body).encode(), Join)


def test_a_join_that_breaks_a_rule_cannot_be_made() -> None:
    with pytest.raises(ConfigurationError, match="whole words"):
        Join(ID, "billing", named=True, durable=True, bindings=["a*"], prefetch=1, node="lab")


@given(st.sampled_from([Join, Joined]), json_values)
def test_what_a_stranger_sends_is_refused_or_what_it_should_be(form: Any, value: Any) -> None:
    with pytest.raises(FrameError):
        decode_body(json.dumps(value).encode(), form)


@given(st.text(max_size=600))
def test_a_refusal_for_any_reason_arrives(reason: str) -> None:
    refusal = Refusal.of(reason.encode(errors="replace").decode())
    arrived = decode_body(decode_control(encode_control(FrameKind.REFUSAL, refusal))[1], Refusal)
    assert arrived == refusal
    assert len(arrived.reason) <= 256
    assert arrived.reason.rstrip("…") == refusal.reason.rstrip("…")

"""The examples in docs/wire.md are what the code writes and reads."""

import re

import pytest

from colugo.protocol.advertisement import Advertisement, Framing, Kind, to_txt
from colugo.protocol.error_report import decode_error, encode_error
from colugo.protocol.frames import (
    FLAG_ERROR,
    FLAG_REFUSED,
    FLAG_TEXT,
    MAX_COUNT,
    Call,
    decode_calls,
    decode_publication,
    encode_calls,
    encode_publication,
)
from colugo.protocol.frames import Kind as FrameKind
from tests.support import ROOT

PAGE = (ROOT / "docs" / "wire.md").read_text(encoding="utf-8")
EXAMPLE = re.compile(r"<!-- wire: (\S+) -->\n```hex\n(.*?)```", re.DOTALL)
EXAMPLES = {name: bytes.fromhex(text) for name, text in EXAMPLE.findall(PAGE)}

SOCKET_ID = bytes.fromhex("0102030405060708")
READER = b"@" + bytes.fromhex("a1a2a3a4a5a6a7a8")
SENT_NS = 1_700_000_000_000_000_000
CALLS = {
    "request": (FrameKind.REQUEST, Call(7, FLAG_TEXT, b"ping")),
    "reply": (FrameKind.REPLY, Call(7, FLAG_TEXT, b"pong")),
    "error": (FrameKind.REPLY, Call(8, FLAG_ERROR, encode_error(KeyError("door")))),
}


def test_every_example_is_checked() -> None:
    assert set(EXAMPLES) == {"publication", "welcome", *CALLS}


def test_the_publication_is_what_is_written_and_read() -> None:
    frame = encode_publication(SOCKET_ID, 41, SENT_NS, [b"hi", b"you"], text=True)
    assert frame == EXAMPLES["publication"]
    publication = decode_publication(EXAMPLES["publication"])
    assert publication == (FrameKind.DATA, True, SOCKET_ID, 41, SENT_NS, [b"hi", b"you"])


def test_the_welcome_is_what_is_written_and_read() -> None:
    frame = encode_publication(SOCKET_ID, 43, SENT_NS, [], text=False, kind=FrameKind.WELCOME)
    assert READER + frame == EXAMPLES["welcome"]
    welcome = decode_publication(EXAMPLES["welcome"], len(READER))
    assert (welcome.kind, welcome.first_sequence, welcome.payloads) == (FrameKind.WELCOME, 43, [])


@pytest.mark.parametrize("name", CALLS)
def test_requests_and_replies_are_what_is_written_and_read(name: str) -> None:
    kind, call = CALLS[name]
    assert encode_calls(kind, SOCKET_ID, [call]) == EXAMPLES[name]
    assert decode_calls(EXAMPLES[name], kind) == (kind, SOCKET_ID, [call])


def test_the_error_reads_as_the_page_says() -> None:
    error = decode_error(CALLS["error"][1].payload)
    assert (error.type_name, error.message) == ("KeyError", "'door'")


def test_the_page_names_every_key_of_the_txt_record_and_no_other() -> None:
    advertisement = Advertisement(bytes(8), Kind.PUBLISHER, "t", "n", bytes(16), framing=Framing.RAW)
    section = PAGE.partition("## TXT record")[2].partition("\n## ")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)) == set(to_txt(advertisement))


def test_the_numbers_of_the_page_are_those_of_the_code() -> None:
    assert f"1 to {MAX_COUNT:,}" in PAGE
    assert (FLAG_TEXT, FLAG_ERROR, FLAG_REFUSED) == (1, 2, 4)

"""The examples in docs/wire.md are what the code writes and reads."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import zmq
import zmq.asyncio

from colugo import Node
from colugo.protocol.advertisement import Advertisement, Framing, Kind, to_txt
from colugo.protocol.calls import FLAG_ERROR, FLAG_REFUSED, FLAG_TEXT, Call, decode_calls, encode_calls
from colugo.protocol.error_report import decode_error, encode_error
from colugo.protocol.frames import MAX_COUNT
from colugo.protocol.frames import Kind as FrameKind
from colugo.protocol.publications import decode_publication, encode_publication
from tests.support import ROOT, run, seconds

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
    "refused": (FrameKind.REPLY, Call(7, FLAG_REFUSED, b"")),
}
OTHER_SERVER = bytes.fromhex("1112131415161718")


@asynccontextmanager
async def plain_socket(kind: int, endpoint: str) -> AsyncIterator[zmq.asyncio.Socket]:
    """A socket that another language's colugo would have."""
    context = zmq.asyncio.Context()
    socket = context.socket(kind)
    socket.connect(endpoint)
    try:
        async with asyncio.timeout(seconds(5)):
            yield socket
    finally:
        context.destroy(linger=0)


def test_every_example_is_checked() -> None:
    assert set(EXAMPLES) == {"subscription", "publication", "welcome", *CALLS}


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
    server = OTHER_SERVER if name == "refused" else SOCKET_ID
    assert encode_calls(kind, server, [call]) == EXAMPLES[name]
    assert decode_calls(EXAMPLES[name], kind) == (kind, server, [call])


def test_the_error_reads_as_the_page_says() -> None:
    error = decode_error(CALLS["error"][1].payload)
    assert (error.type_name, error.message) == ("KeyError", "'door'")


def test_the_subscription_is_answered_by_a_welcome_and_then_by_live_frames() -> None:
    async def main() -> None:
        async with Node("lab") as node:
            publisher = node.add_publisher("lab.temperature")
            async with plain_socket(zmq.XSUB, publisher.endpoints[0]) as socket:
                await socket.send(EXAMPLES["subscription"])
                welcome = await socket.recv()
                assert welcome.startswith(READER)
                assert decode_publication(welcome, len(READER)).kind == FrameKind.WELCOME
                assert publisher.subscribers == 1

                publisher.send("21.5")
                live = decode_publication(await socket.recv())
                assert (live.text, live.first_sequence, live.payloads) == (True, 0, [b"21.5"])

    run(main())


def test_a_request_for_another_server_is_refused_as_the_page_says() -> None:
    async def main() -> None:
        async with Node("lab") as node:
            server = node.add_reply_server("lab.echo", lambda message: message)
            async with plain_socket(zmq.DEALER, server.endpoints[0]) as socket:
                await socket.send(EXAMPLES["request"])
                reply = await socket.recv()
                (advertisement,) = node.advertisements
                assert reply == EXAMPLES["refused"].replace(OTHER_SERVER, advertisement.socket_id)

                await socket.send(EXAMPLES["request"].replace(SOCKET_ID, bytes(8)))
                reply = await socket.recv()
                assert reply == EXAMPLES["reply"].replace(b"pong", b"ping").replace(
                    SOCKET_ID, advertisement.socket_id
                )

    run(main())


def test_the_page_names_every_key_of_the_txt_record_and_no_other() -> None:
    advertisement = Advertisement(bytes(8), Kind.PUBLISHER, "t", "n", bytes(16), framing=Framing.RAW)
    section = PAGE.partition("## TXT record")[2].partition("\n## ")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)) == set(to_txt(advertisement))


def test_the_numbers_of_the_page_are_those_of_the_code() -> None:
    assert f"1 to {MAX_COUNT:,}" in PAGE
    assert (FLAG_TEXT, FLAG_ERROR, FLAG_REFUSED) == (1, 2, 4)

"""The examples in docs/wire.md, compared with the code."""

import asyncio
import json
import re
import struct
from typing import NamedTuple

import pytest
import zmq
import zmq.asyncio

from colugo import Node
from colugo.protocol.advertisement import Advertisement, Framing, SocketKind, to_txt
from colugo.protocol.error_report import decode_error, encode_error, report_error
from colugo.protocol.frames import LARGE_BYTES, MAX_COUNT, VERSION, FrameKind
from colugo.protocol.membership.control import (
    Answer,
    Question,
    decode_body,
    decode_control,
    encode_bare,
    encode_control,
)
from colugo.protocol.membership.entries import Greeting, NodeEntries, NodeEntry, Refusal, SocketRecord
from colugo.protocol.pubsub import publications
from colugo.protocol.pubsub.publications import (
    ALL_SUBSCRIBERS,
    FLAG_ANSWER,
    FLAG_CONFLATE,
    FLAG_END,
    FLAG_LARGE,
    FLAG_WAIT,
    SegmentAck,
    decode_ack,
    decode_publication,
    encode_ack,
    encode_publication,
)
from colugo.protocol.requests import calls
from colugo.protocol.requests.calls import (
    FLAG_DECLINED,
    FLAG_ERROR,
    FLAG_REFUSED,
    FLAG_TEXT,
    Call,
    decode_calls,
    encode_calls,
)
from colugo.protocol.streams import stream_message
from colugo.protocol.streams.bindings import MAX_BINDINGS
from colugo.protocol.streams.deliveries import (
    FLAG_REDELIVERED,
    MAX_ATTEMPT,
    decode_deliveries,
    encode_deliveries,
)
from colugo.protocol.streams.joining import MAX_PREFETCH, Join, Joined
from colugo.protocol.streams.message_parts import MAX_GROUP_BYTES, MAX_KEY_BYTES, pack_headers
from colugo.protocol.streams.settlements import (
    MAX_REPORT_CHARS,
    Failure,
    Settlement,
    SettlementOutcome,
    decode_settle,
    encode_settle,
)
from colugo.protocol.streams.stream_message import StreamMessage
from tests.support.essentials import ROOT, run, until
from tests.support.plain import plain_socket

PAGE = (ROOT / "docs" / "wire.md").read_text(encoding="utf-8")
EXAMPLE = re.compile(r"<!-- wire: (\S+) -->\n```hex\n(.*?)```", re.DOTALL)
EXAMPLES = {name: bytes.fromhex(text) for name, text in EXAMPLE.findall(PAGE)}

SOCKET_ID = bytes.fromhex("0102030405060708")
READER = b"@" + bytes.fromhex("a1a2a3a4a5a6a7a8")
SENT_NS = 1_700_000_000_000_000_000


class Frame(NamedTuple):
    """The contents of an example of a publisher's frame."""

    kind: FrameKind
    flags: int
    segment: int
    first: int
    payloads: list[bytes]
    prefix: bytes = b""
    large: bytes | None = None


HI_YOU = [b"hi", b"you"]
PUBLICATIONS = {
    "welcome": Frame(FrameKind.WELCOME, 0, ALL_SUBSCRIBERS, 41, [], READER),
    "publication": Frame(FrameKind.DATA, FLAG_TEXT | FLAG_END, 3, 41, HI_YOU),
    "large": Frame(FrameKind.DATA, FLAG_LARGE, 4, 43, [b"picture"], large=EXAMPLES["large-payload"]),
    "retained": Frame(FrameKind.RETAINED, FLAG_TEXT, ALL_SUBSCRIBERS, 41, HI_YOU, READER),
    "beacon-end": Frame(FrameKind.BEACON, FLAG_END, 4, 44, []),
    "beacon": Frame(FrameKind.BEACON, FLAG_ANSWER, ALL_SUBSCRIBERS, 44, []),
    "cut": Frame(FrameKind.CUT, 0, ALL_SUBSCRIBERS, 44, [], READER),
}
CALLS = {
    "request": (FrameKind.REQUEST, [Call(7, FLAG_TEXT, b"ping")]),
    "requests": (FrameKind.REQUEST, [Call(7, FLAG_TEXT, b"ping"), Call(8, FLAG_TEXT, b"door?")]),
    "reply": (FrameKind.REPLY, [Call(7, FLAG_TEXT, b"pong")]),
    "error": (FrameKind.REPLY, [Call(8, FLAG_ERROR, encode_error(KeyError("door")))]),
    "refused": (FrameKind.REPLY, [Call(7, FLAG_REFUSED, b"")]),
    "declined": (FrameKind.REPLY, [Call(7, FLAG_DECLINED, b"")]),
}
OTHER_SERVER = bytes.fromhex("1112131415161718")
NODE_ID = "0102030405060708090a0b0c0d0e0f10"
SOCKET = SocketRecord({"v": "2", "t": "t"}, ["192.0.2.7"], 4711)
CONTROL = {
    "question": (FrameKind.QUESTION, Question(7, "node")),
    "question-arguments": (FrameKind.QUESTION, Question(8, "lights", {"room": "hall"})),
    "answer": (FrameKind.ANSWER, Answer(7, "hello")),
    "answer-error": (FrameKind.ANSWER, Answer(7, error=report_error(KeyError("door")))),
    "greeting": (FrameKind.GREETING, Greeting(NODE_ID, "sensor", "default")),
    "refusal": (FrameKind.REFUSAL, Refusal("its realm is 'a', not 'b'")),
    "refusal-again": (FrameKind.REFUSAL, Refusal("there is no link to you", again=True)),
    "entries": (FrameKind.ENTRIES, NodeEntries([NodeEntry(NODE_ID, 5, 4, 20, sockets=[SOCKET])])),
    "entries-beat": (FrameKind.ENTRIES, NodeEntries([NodeEntry(NODE_ID, 6, 4)])),
    "entries-gone": (FrameKind.ENTRIES, NodeEntries([NodeEntry(NODE_ID, 7, 4, gone=True)])),
    "entries-wanted": (FrameKind.ENTRIES, NodeEntries(wanted=[NODE_ID])),
    "join": (
        FrameKind.JOIN,
        Join(
            "a1a2a3a4a5a6a7a8",
            "billing",
            named=True,
            durable=True,
            bindings=["lab.#", "=a*"],
            prefetch=100,
            node="till",
        ),
    ),
    "joined": (FrameKind.JOINED, Joined("0102030405060708", 30_000, "orders")),
    "join-refused": (FrameKind.REFUSAL, Refusal("a group's name must not be empty")),
}
BARE = {"leave": FrameKind.LEAVE, "ping": FrameKind.PING}
DELIVERIES = {
    "deliver": (
        [
            StreamMessage(41, "", b"", b"hi", FLAG_TEXT, SENT_NS),
            StreamMessage(42, "", b"", b"you", 0, SENT_NS),
        ],
        [1, 1],
        [False, False],
    ),
    "deliver-again": (
        [StreamMessage(43, "lab.door", pack_headers({"by": 7}), b"open", FLAG_TEXT, SENT_NS)],
        [2],
        [True],
    ),
}
SETTLEMENTS = {
    "settle": ([(41, 42)], []),
    "settle-others": (
        [(41, 42)],
        [
            Settlement(45, SettlementOutcome.NACK, 500, Failure("KeyError: 'door'")),
            Settlement(46, SettlementOutcome.RETURN),
            Settlement(47, SettlementOutcome.WORKING),
        ],
    ),
    "settle-reject": ([], [Settlement(48, SettlementOutcome.REJECT, failure=Failure("no such door"))]),
}


def test_every_example_is_checked() -> None:
    assert {
        "subscription",
        "large-payload",
        "ack",
        "ack-end",
        "ack-all",
        *PUBLICATIONS,
        *CALLS,
        *CONTROL,
        *BARE,
        *DELIVERIES,
        *SETTLEMENTS,
    } == set(EXAMPLES)


@pytest.mark.parametrize("name", PUBLICATIONS)
def test_the_frames_of_a_publisher_are_what_is_written_and_read(name: str) -> None:
    kind, flags, segment, first, payloads, prefix, large = PUBLICATIONS[name]
    frame = encode_publication(SOCKET_ID, first, SENT_NS, payloads, kind=kind, flags=flags, segment=segment)
    assert prefix + frame == EXAMPLES[name]
    got = decode_publication(EXAMPLES[name], len(prefix), large)
    assert got[:6] == (kind, flags, segment, SOCKET_ID, first, SENT_NS)
    assert got.payloads() == payloads


def test_acknowledgements_are_what_is_written_and_read() -> None:
    ack = SegmentAck(SOCKET_ID, READER[1:], 43, 3)
    assert encode_ack(ack) == (EXAMPLES["ack"], EXAMPLES["ack-end"])
    assert decode_ack(EXAMPLES["ack"]) == ack
    assert encode_ack(ack._replace(segment=ALL_SUBSCRIBERS))[0] == EXAMPLES["ack-all"]


@pytest.mark.parametrize("name", CALLS)
def test_requests_and_replies_are_what_is_written_and_read(name: str) -> None:
    kind, some = CALLS[name]
    server = OTHER_SERVER if name == "refused" else SOCKET_ID
    assert encode_calls(kind, server, some) == EXAMPLES[name]
    assert decode_calls(EXAMPLES[name], kind) == (kind, server, some)


@pytest.mark.parametrize("name", CONTROL)
def test_the_frames_of_an_endpoint_are_what_is_written_and_read(name: str) -> None:
    kind, body = CONTROL[name]
    assert encode_control(kind, body) == EXAMPLES[name]
    found, encoded = decode_control(EXAMPLES[name])
    assert found is kind
    assert decode_body(encoded, type(body)) == body


@pytest.mark.parametrize("name", BARE)
def test_frames_that_are_but_a_kind_are_what_is_written_and_read(name: str) -> None:
    assert encode_bare(BARE[name]) == EXAMPLES[name]
    assert decode_control(EXAMPLES[name]) == (BARE[name], b"")


@pytest.mark.parametrize("name", DELIVERIES)
def test_messages_of_a_stream_are_what_is_written_and_read(name: str) -> None:
    some, attempts, redelivered = DELIVERIES[name]
    assert encode_deliveries(SOCKET_ID, some, attempts, redelivered) == EXAMPLES[name]
    got = decode_deliveries(EXAMPLES[name])
    assert got.stream_id == SOCKET_ID
    columns = zip(got.seqs, got.keys, got.headers, got.payloads, got.flags, got.sent_ns, strict=True)
    flags = [FLAG_REDELIVERED if again else 0 for again in redelivered]
    expected = [each._replace(flags=each.flags | flag) for each, flag in zip(some, flags, strict=True)]
    assert [StreamMessage(*each) for each in columns] == expected
    assert list(got.attempts) == attempts


@pytest.mark.parametrize("name", SETTLEMENTS)
def test_what_has_become_of_messages_is_what_is_written_and_read(name: str) -> None:
    ranges, others = SETTLEMENTS[name]
    assert encode_settle(SOCKET_ID, ranges, others) == EXAMPLES[name]
    assert decode_settle(EXAMPLES[name]) == (SOCKET_ID, ranges, others)


def test_a_dealer_that_knows_only_the_page_greets_and_is_told_of_the_node() -> None:
    async def main() -> None:
        async with Node("one", realm="default", mdns=False) as one:
            (own,) = one.nodes
            async with plain_socket(zmq.DEALER, own.endpoints[0]) as dealer:
                await dealer.send(EXAMPLES["greeting"])
                greeting = await dealer.recv()
                assert greeting[:4] == bytes.fromhex("c1000222")
                assert json.loads(greeting[4:]) == {
                    "node": one.uuid.hex,
                    "name": "one",
                    "realm": "default",
                }
                entries = await dealer.recv()
                assert entries[:4] == bytes.fromhex("c1000223")
                (entry,) = json.loads(entries[4:])["entries"]
                assert entry["node"] == one.uuid.hex
                assert [record["txt"] for record in entry["sockets"]] == [to_txt(own)]
                await dealer.send(EXAMPLES["entries"])
                await dealer.send(EXAMPLES["question"])
                while (answer := await dealer.recv())[3] != 0x21:
                    pass
                assert json.loads(answer[4:])["result"]["id"] == one.uuid.hex

    run(main())


def test_the_error_reads_as_the_page_says() -> None:
    error = decode_error(CALLS["error"][1][0].payload)
    assert (error.type_name, error.message) == ("KeyError", "'door'")


# --- a reader that knows nothing but the page

HEADER = struct.Struct("<B8sBBB8sQQI")
ALL = b"\xff" * 8
DATA, WELCOME, RETAINED, BEACON, CUT = range(1, 6)
TEXT, LARGE, END, WAIT, CONFLATE, ANSWER = (1 << bit for bit in range(6))


class Read(NamedTuple):
    """A frame as the page describes it."""

    own: bool
    segment: int
    kind: int
    flags: int
    first: int
    payloads: list[bytes]


class PlainReader:
    """Follows the page step by step on an XSUB socket."""

    def __init__(self, socket: zmq.asyncio.Socket) -> None:
        self.socket = socket
        self.publisher = b""
        self.expected = 0

    async def join(self) -> Read:
        """Subscribe and return the welcome."""
        await self.socket.send(EXAMPLES["subscription"])
        return await self.next()

    async def next(self) -> Read:
        """Return the next frame."""
        frame, *second = await self.socket.recv_multipart()
        own = frame.startswith(READER)
        body = frame[len(READER) :] if own else frame
        magic, number, version, kind, flags, publisher, first, _, count = HEADER.unpack_from(body)
        segment = int.from_bytes(number)
        assert (magic, version) == (0xC1, 2)
        if kind == WELCOME:
            self.publisher = publisher
        self.expected = first + count
        assert publisher == self.publisher
        lengths = struct.unpack_from(f"<{count}I", body, HEADER.size)
        rest = body[HEADER.size + 4 * count :] + b"".join(second)
        assert bool(flags & LARGE) is bool(second)
        assert sum(lengths) == len(rest)
        payloads = []
        for length in lengths:
            payloads.append(rest[:length])
            rest = rest[length:]
        return Read(own, segment, kind, flags, first, payloads)

    async def acknowledge(self, segment: bytes) -> None:
        """Acknowledge a segment."""
        said = b"\x2b" + self.publisher + READER[1:] + self.expected.to_bytes(8, "little") + segment
        await self.socket.send(b"\x01" + said)
        await self.socket.send(b"\x00" + said)

    async def handled(self, read: Read) -> None:
        """Acknowledge if the frame asks for it."""
        if read.flags & END:
            await self.acknowledge(read.segment.to_bytes(8))


def test_the_subscription_is_answered_by_a_welcome_and_then_by_live_frames() -> None:
    async def main() -> None:
        async with Node("lab") as node:
            publisher = node.add_publisher("lab.temperature")
            async with plain_socket(zmq.XSUB, publisher.endpoints[0]) as socket:
                reader = PlainReader(socket)
                assert (await reader.join())[:6] == (True, 2**64 - 1, WELCOME, 0, 0, [])
                assert publisher.subscribers == 1
                publisher.send("21.5")
                assert await reader.next() == (False, 0, DATA, TEXT, 0, [b"21.5"])
                publisher.send("x" * 32768)
                publisher.send("x" * 32769)
                frames = [await reader.next(), await reader.next()]
                assert [(frame.flags & LARGE, frame.first) for frame in frames] == [(0, 1), (LARGE, 2)]
                assert frames[1].payloads == [b"x" * 32769]

    run(main())


def test_the_frames_for_a_late_joiner_come_in_the_order_of_the_page() -> None:
    async def main() -> None:
        async with Node("lab") as node:
            publisher = node.add_publisher("lab.temperature", retain=2)
            for text in ("a", "b", "c"):
                publisher.send(text)
                await asyncio.sleep(0)  # what is gathered in a turn leaves at its end, to a late joiner too
            async with plain_socket(zmq.XSUB, publisher.endpoints[0]) as socket:
                reader = PlainReader(socket)
                assert (await reader.join()).first == 1
                retained: list[bytes] = []
                while len(retained) < 2:
                    frame = await reader.next()
                    assert frame[:5] == (True, 2**64 - 1, RETAINED, TEXT, 1 + len(retained))
                    retained += frame.payloads
                assert retained == [b"b", b"c"]
                publisher.send("d")
                assert (await reader.next())[2:] == (DATA, TEXT, 3, [b"d"])

    run(main())


@pytest.mark.parametrize("hwm", [1, 4, 100])
def test_a_reader_that_acknowledges_each_segment_gets_all_segments(hwm: int) -> None:
    """Check that acknowledgements as documented keep a waiting publisher going past its high-water mark."""

    async def main() -> None:
        async with Node("lab") as node:
            publisher = node.add_publisher("lab.temperature", hwm=hwm, flow="wait", stall_ms=60_000)
            async with plain_socket(zmq.XSUB, publisher.endpoints[0]) as socket:
                reader = PlainReader(socket)
                await reader.join()

                async def send_all() -> None:
                    for number in range(5 * hwm):
                        await publisher.send_wait(f"{number}")

                sending = asyncio.create_task(send_all())
                got: list[bytes] = []
                segments: list[int] = []
                while len(got) < 5 * hwm:
                    frame = await reader.next()
                    if frame.kind == DATA:
                        assert frame.flags & WAIT
                        assert frame.first == len(got)
                        got += frame.payloads
                        segments.append(frame.segment)
                    await reader.handled(frame)
                await sending
                assert got == [b"%d" % number for number in range(5 * hwm)]
                assert segments == sorted(segments)
                assert len(set(segments)) >= 5

    run(main())


@pytest.mark.parametrize("answer", [bytes(7) + b"\x03", ALL], ids=["the last segment", "all"])
def test_a_reader_that_is_behind_goes_on_when_it_has_said_that_it_handled_what_it_was_sent(
    answer: bytes,
) -> None:
    async def main() -> None:
        async with Node("lab") as node:
            publisher = node.add_publisher("lab.temperature", hwm=4)
            async with plain_socket(zmq.XSUB, publisher.endpoints[0]) as socket:
                reader = PlainReader(socket)
                await reader.join()
                for number in range(10):
                    publisher.send(f"{number}")
                    await asyncio.sleep(0)
                for number in range(4):
                    frame = await reader.next()
                    assert frame[1:] == (number, DATA, TEXT | END, number, [b"%d" % number])
                assert await reader.next() == (False, 2**64 - 1, BEACON, ANSWER, 10, [])
                assert publisher.stats.behind == 1
                await reader.acknowledge(bytes(8))
                await reader.acknowledge(bytes(7) + b"\x09")
                await reader.acknowledge(answer)
                await until(lambda: publisher.stats.behind == 0)
                publisher.send("more")
                assert (await reader.next())[1:] == (10, DATA, TEXT | END, 10, [b"more"])

    run(main())


def test_acknowledgements_of_another_reader_publisher_or_segment_are_ignored() -> None:
    async def main() -> None:
        async with Node("lab") as node:
            publisher = node.add_publisher("lab.temperature", hwm=1)
            async with plain_socket(zmq.XSUB, publisher.endpoints[0]) as socket:
                reader = PlainReader(socket)
                await reader.join()
                publisher.send("0")
                publisher.send("1")
                said = b"\x01\x2b" + reader.publisher + READER[1:] + bytes(16)
                for at in (2, 10, 26):
                    await socket.send(said[:at] + bytes([said[at] ^ 1]) + said[at + 1 :])
                await socket.send(b"\x01\x2b" + said)
                # what is sent on one connection is read in its order: the join comes after all these
                assert (await reader.next()).kind == DATA
                await socket.send(b"\x01\x40another1")
                await until(lambda: publisher.subscribers == 2)
                assert publisher.stats.behind == 1
                await reader.acknowledge(bytes(8))
                await until(lambda: publisher.stats.behind == 0)

    run(main())


def test_a_reader_that_holds_up_the_others_for_too_long_is_cut_off() -> None:
    async def main() -> None:
        async with Node("lab") as node:
            publisher = node.add_publisher("lab.temperature", hwm=1, flow="wait", stall_ms=50)
            async with plain_socket(zmq.XSUB, publisher.endpoints[0]) as socket:
                reader = PlainReader(socket)
                await reader.join()
                await publisher.send_wait("0")
                await publisher.send_wait("1")
                assert (await reader.next())[1:] == (0, DATA, TEXT | END | WAIT, 0, [b"0"])
                assert await reader.next() == (True, 2**64 - 1, CUT, 0, 1, [])

    run(main())


def test_of_a_publisher_that_conflates_a_reader_gets_the_newest_message_when_it_acknowledges() -> None:
    async def main() -> None:
        async with Node("lab") as node:
            publisher = node.add_publisher("lab.temperature", conflate=True)
            async with plain_socket(zmq.XSUB, publisher.endpoints[0]) as socket:
                reader = PlainReader(socket)
                await reader.join()
                publisher.send("0")
                first = await reader.next()
                assert first[2:] == (DATA, TEXT | END | CONFLATE, 0, [b"0"])
                for number in range(1, 5):
                    publisher.send(f"{number}")
                    await asyncio.sleep(0)
                await until(lambda: publisher.stats.behind == 1)
                await reader.handled(first)
                newest = await reader.next()
                assert (newest.own, *newest[2:]) == (True, RETAINED, TEXT | END | CONFLATE, 4, [b"4"])
                await reader.handled(newest)
                publisher.send("5")  # as data, or as the newest if the acknowledgement comes later
                assert (await reader.next())[3:] == (TEXT | END | CONFLATE, 5, [b"5"])

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


def test_requests_in_one_frame_are_all_answered() -> None:
    async def main() -> None:
        async with Node("lab") as node:
            server = node.add_reply_server("lab.echo", lambda message: message)
            async with plain_socket(zmq.DEALER, server.endpoints[0]) as socket:
                await socket.send(EXAMPLES["requests"].replace(SOCKET_ID, bytes(8)))
                got: list[Call] = []
                while len(got) < 2:
                    got += decode_calls(await socket.recv(), FrameKind.REPLY).calls
                assert sorted(got) == CALLS["requests"][1]

    run(main())


def test_the_page_names_every_key_of_the_txt_record_and_no_other() -> None:
    advertisement = Advertisement(
        bytes(8), SocketKind.PUBLISHER, "t", "n", bytes(16), framing=Framing.RAW, linked=True
    )
    section = PAGE.partition("## TXT record")[2].partition("\n## ")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)) == set(to_txt(advertisement))


def test_the_numbers_of_the_page_are_those_of_the_code() -> None:
    assert PAGE.count(f"1 to {MAX_COUNT:,}") == 3
    assert PAGE.count(f"at most {MAX_COUNT:,}") == 2
    assert f"Version {VERSION}." in PAGE
    assert f"more than {LARGE_BYTES // 1024} KiB" in PAGE
    assert (FLAG_TEXT, FLAG_ERROR, FLAG_REFUSED, FLAG_DECLINED) == (1, 2, 4, 8)
    assert publications.FLAG_TEXT == calls.FLAG_TEXT


def test_the_numbers_of_streams_on_the_page_are_those_of_the_code() -> None:
    section = PAGE.partition("## Streams")[2].partition("\n## ")[0]
    assert (stream_message.FLAG_TEXT, FLAG_REDELIVERED) == (1, 2)
    assert f"{MAX_ATTEMPT} for that one" in section
    assert section.count(f"at most {MAX_KEY_BYTES}") == 2
    assert f"1 to {MAX_GROUP_BYTES} bytes" in section
    assert f"1 to {MAX_BINDINGS:,} patterns" in section
    assert f"1 to {MAX_PREFETCH:,}" in section
    assert f"at most {MAX_REPORT_CHARS:,} characters" in section
    outcomes = re.findall(r"^\| (\d) \| \*(\w+)\*: ", section, re.MULTILINE)
    assert outcomes == [(f"{outcome.value}", outcome.name.lower()) for outcome in SettlementOutcome]
    kinds = re.findall(r"`([0-9a-f]{2})` (\w+)", section.partition("kind: ")[2].partition("|")[0])
    assert {name.upper(): int(number, 16) for number, name in kinds} == {
        kind.name: kind.value for kind in FrameKind if kind.value >= 48 or kind is FrameKind.REFUSAL
    }


def test_the_page_says_which_kinds_have_which_flags() -> None:
    flags = {"text": FLAG_TEXT, "large": FLAG_LARGE, "end": FLAG_END, "wait": FLAG_WAIT}
    flags |= {"conflate": FLAG_CONFLATE, "answer": FLAG_ANSWER}
    allowed = dict.fromkeys(range(1, 6), 0)
    for bit, name, kinds in re.findall(r"^\| (\d) \| ([a-z]+) \| ([\d, to]+) \|", PAGE, re.MULTILINE):
        assert flags.pop(name) == 1 << int(bit)
        first, _, last = kinds.partition(" to ")
        for kind in range(int(first), int(last) + 1) if last else map(int, kinds.split(", ")):
            allowed[kind] |= 1 << int(bit)
    assert flags == {}
    assert allowed == {kind: publications._FLAGS[FrameKind(kind)] for kind in allowed}

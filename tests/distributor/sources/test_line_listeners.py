"""Lines over TCP and UDP, with real sockets."""

import asyncio
import socket

import pytest

from colugo.distributor import TcpSource, UdpSource
from colugo.errors import ConfigurationError
from tests.support.essentials import free_port, run, until
from tests.support.feeding import opened


async def send(port: int, data: bytes) -> None:
    """Send to a TCP port, and end the connection in order."""
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    writer.close()
    await writer.wait_closed()


async def send_blocks(writer: asyncio.StreamWriter, block: bytes) -> None:
    """Send 300 blocks, as fast as they are taken."""
    for _ in range(300):
        writer.write(block)
        await writer.drain()


async def end_of(reader: asyncio.StreamReader) -> bytes:
    """Return what comes before the connection ends, in order or not."""
    try:
        return await reader.read()
    except ConnectionError:
        return b""


def test_each_tcp_line_is_a_message_without_its_end() -> None:
    async def main() -> None:
        source = TcpSource(0)
        async with opened(source) as messages:
            await send(source.port, b"one\ntwo\r\n\n\xc3\xa9\nlast")
            assert await messages.reach(5) == ["one", "two", "", "é", "last"]
            assert (source.received, source.malformed) == (5, 0)

    run(main())


def test_a_line_may_come_in_parts_and_from_several_clients() -> None:
    async def main() -> None:
        source = TcpSource(0)
        async with opened(source) as messages:
            _, slow = await asyncio.open_connection("127.0.0.1", source.port)
            slow.write(b"half")
            await slow.drain()
            await send(source.port, b"other\n")
            await messages.reach(1)
            slow.write(b" and half\n")
            assert await messages.reach(2) == ["other", "half and half"]
            slow.close()
            await slow.wait_closed()

    run(main())


def test_invalid_utf8_is_replaced_and_counted() -> None:
    async def main() -> None:
        source = TcpSource(0)
        async with opened(source) as messages:
            await send(source.port, b"caf\xe9\nfine\n")
            assert await messages.reach(2) == ["caf\ufffd", "fine"]
            assert source.malformed == 1

    run(main())


def test_a_line_of_10_mb_ends_its_connection_only(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        source = TcpSource(0)
        async with opened(source) as messages:
            reader, writer = await asyncio.open_connection("127.0.0.1", source.port)
            writer.write(b"before\n" + b"x" * 10_000_000 + b"\n")
            assert await end_of(reader) == b""
            writer.transport.abort()
            await send(source.port, b"after\n")
            assert await messages.reach(2) == ["before", "after"]
            assert source.malformed == 1
            assert "longer than max_line_bytes=1048576" in caplog.text

    run(main())


def test_a_client_is_held_up_while_there_is_no_room() -> None:
    async def main() -> None:
        source, go = TcpSource(0), asyncio.Event()
        taken: list[str] = []

        async def take(message: str) -> None:
            await go.wait()
            taken.append(message)

        async with opened(source):
            source.set_on_message(take)
            _, writer = await asyncio.open_connection("127.0.0.1", source.port)
            writer.transport.set_write_buffer_limits(0)
            block = b"x" * 99_999 + b"\n"
            sending = asyncio.create_task(send_blocks(writer, block))
            done, _ = await asyncio.wait({sending}, timeout=1)
            assert not done  # the buffers of both sides are full
            assert source.received == 1
            go.set()
            await until(lambda: len(taken) == 300)
            await sending
            writer.close()

    run(main())


def test_the_port_is_free_as_soon_as_the_source_is_closed() -> None:
    async def main() -> None:
        for kind in (TcpSource, UdpSource):
            first = kind(0)
            async with opened(first):
                first.close()
                second = kind(first.port)
                async with opened(second) as messages:
                    if kind is TcpSource:
                        await send(second.port, b"hello\n")
                    else:
                        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
                            client.sendto(b"hello", ("127.0.0.1", second.port))
                    assert await messages.reach(1) == ["hello"]

    run(main())


def test_a_port_in_use_is_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        port = free_port()
        taken = socket.create_server(("127.0.0.1", port))
        source = TcpSource(port)
        async with opened(source) as messages:
            await until(lambda: "Address already in use" in caplog.text)
            taken.close()
            async with asyncio.timeout(10):
                while not messages.items:
                    try:
                        await send(port, b"hello\n")
                        await messages.reach(1)
                    except ConnectionRefusedError:
                        await asyncio.sleep(0.01)
            assert messages.items == ["hello"]

    run(main())


@pytest.mark.parametrize("port", [-1, 65536, "80", True])
def test_a_port_that_is_none_is_refused(port: int) -> None:
    for kind in (TcpSource, UdpSource):
        with pytest.raises(ConfigurationError, match="port must be"):
            kind(port)


def test_each_line_of_a_datagram_is_a_message() -> None:
    async def main() -> None:
        source = UdpSource(0)
        async with opened(source) as messages:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
                for data in (b"one\ntwo\n", b"", b"three\r\nfour", b"caf\xe9"):
                    client.sendto(data, ("127.0.0.1", source.port))
            assert await messages.reach(5) == ["one", "two", "three", "four", "caf\ufffd"]
            assert (source.received, source.malformed) == (5, 1)

    run(main())

"""The source of lines that come over TCP."""

from typing import Any

from tornado.iostream import IOStream, StreamClosedError
from tornado.tcpserver import TCPServer

from colugo.distributor.sources.bound_source import ServerSource
from colugo.distributor.sources.line_splitter import LineSplitter
from colugo.errors import ClosedError
from colugo.patterns.base import check_count

_CHUNK = 65_536


class TcpSource(ServerSource):
    r"""A TCP server; each line that a client sends is a message, as text.

    A connection is read only as fast as its messages are taken, so that TCP holds up the client. A last line
    without its end counts as a line if the client ends the connection in order. Parts that are not UTF-8
    become U+FFFD, and the line is counted in `malformed`.

    Args:
        port: the TCP port; 0 for a free one.
        host: the address to bind, or a name, whose first address is used.
        max_line_bytes: the most bytes of a line. A longer one ends its connection, is counted in `malformed`
            and logged.

    Raises:
        ConfigurationError: if a value cannot work.
    """

    def __init__(self, port: int, host: str = "127.0.0.1", *, max_line_bytes: int = 1024 * 1024) -> None:
        super().__init__(port, host)
        self._max_line_bytes = check_count("max_line_bytes", max_line_bytes)

    def _make_server(self) -> TCPServer:
        return _LineServer(self, self._max_line_bytes)

    async def _close_connections(self, server: TCPServer) -> None:
        assert isinstance(server, _LineServer)
        for stream in tuple(server.streams):
            stream.close()


class _LineServer(TCPServer):
    def __init__(self, source: TcpSource, limit: int) -> None:
        super().__init__()
        self.streams: set[IOStream] = set()
        self._source = source
        self._limit = limit

    async def handle_stream(self, stream: IOStream, address: tuple[Any, ...]) -> None:
        source = self._source
        self.streams.add(stream)
        lines = LineSplitter(self._limit)
        try:
            while True:
                for line in lines.feed(await stream.read_bytes(_CHUNK, partial=True)):
                    if line is None:
                        source.malformed += 1
                        text = "%s: a line from %s is longer than max_line_bytes=%d; the connection is closed"
                        source.logger.warning(text, source.label, address[0], self._limit)
                        return
                    await source.emit(source.decode(line))
        except StreamClosedError as error:
            if error.real_error is not None:
                source.logger.info(
                    "%s: connection from %s lost: %s", source.label, address[0], error.real_error
                )
            elif not source.ended:
                for line in lines.finish():
                    await source.emit(source.decode(line))
        except ClosedError:
            source.logger.debug("%s: closed while %s sends", source.label, address[0])
        finally:
            self.streams.discard(stream)
            stream.close()

"""The source of lines from standard input."""

import os

from colugo.distributor.lane import on_thread
from colugo.distributor.sources.line_splitter import LineSplitter
from colugo.distributor.sources.loop_source import LoopSource

_STDIN = 0
_CHUNK = 65_536
_MOST_BYTES = 64 * 1024 * 1024


class StdinSource(LoopSource):
    """Standard input; each line is a message, as text. The end of the input ends the source.

    The input is read by a daemon thread, because the loop cannot watch files and must not change a terminal's
    mode. It is read only as fast as its messages are taken. Lines longer than 64 MiB are left out and counted
    in `malformed`, and so are lines that are not UTF-8, whose wrong parts become U+FFFD.
    """

    async def listen(self) -> None:
        """Read lines until the input ends."""
        lines = LineSplitter(_MOST_BYTES)
        while data := await on_thread(self.label, os.read, _STDIN, _CHUNK):
            for line in lines.feed(data):
                if line is None:
                    self.malformed += 1
                    self._warn("", "a line longer than %d bytes is left out", _MOST_BYTES)
                else:
                    await self.emit(self.decode(line))
        for line in lines.finish():
            await self.emit(self.decode(line))

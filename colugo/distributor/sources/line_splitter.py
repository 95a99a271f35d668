"""The division of a stream of bytes into lines."""


class LineSplitter:
    r"""Divides bytes into lines, which end with `\n` or `\r\n`, and have at most `limit` bytes."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._rest = bytearray()
        self._skipping = False

    def feed(self, data: bytes) -> list[bytes | None]:
        """Take bytes, and return the lines that they complete, without their ends.

        None stands for a line over the limit, whose bytes are skipped up to its end.
        """
        lines: list[bytes | None] = []
        *ended, last = data.split(b"\n")
        for part in ended:
            self._grow(part, lines)
            if not self._skipping:
                lines.append(bytes(self._rest).removesuffix(b"\r"))
            self._rest.clear()
            self._skipping = False
        self._grow(last, lines)
        return lines

    def finish(self) -> list[bytes]:
        """Return the last line if its end has not come."""
        rest, self._rest = bytes(self._rest), bytearray()
        return [rest] if rest else []

    def _grow(self, part: bytes, lines: list[bytes | None]) -> None:
        if self._skipping:
            return
        if len(self._rest) + len(part) > self._limit:
            self._rest.clear()
            self._skipping = True
            lines.append(None)
        else:
            self._rest += part

"""What nodes answer when they are asked for the messages of their streams; JSON. Pure.

Read with `msgspec.convert`, so that an older side does without what a newer one has added.
"""

import base64
from typing import Any

import msgspec

PREVIEW_CHARS = 200
PART_BYTES = 4 * 1024 * 1024
_SPACES = dict.fromkeys(map(ord, "\t\n\r"))


class Summary(msgspec.Struct):
    """A message of a stream, as it is listed.

    Attributes:
        id: its id.
        key: its key.
        headers: as JSON has them, bytes as base64.
        size: bytes of its payload.
        sent_ns: when it was sent, nanoseconds since 1970.
        preview: the first 200 signs of the payload if it is text, else its first 100 bytes, hexadecimal.
        text: whether it is text.
        group: the only group that it is for; empty for all.
    """

    id: str
    key: str = ""
    headers: dict[str, Any] = {}
    size: int = 0
    sent_ns: int = 0
    preview: str = ""
    text: bool = True
    group: str = ""


class LetterSummary(Summary):
    """A dead letter, as it is listed; `group` is the one that could not handle it.

    Attributes:
        attempts: how often it was tried.
        reason: why the last try failed.
        died_ns: when it was given up.
    """

    attempts: int = 0
    reason: str = ""
    died_ns: int = 0


class Whole(LetterSummary):
    """A message or dead letter with its payload, or a part of that.

    Attributes:
        dead: whether it is a dead letter.
        traceback: of what the callback raised; empty if it did not, or if nothing has failed.
        offset: of the part, in bytes.
        base64: the part.
    """

    dead: bool = False
    traceback: str = ""
    offset: int = 0
    base64: str = ""

    @property
    def part(self) -> bytes:
        """The bytes of the part.

        Raises:
            ValueError: if it is no base64.
        """
        return base64.b64decode(self.base64, validate=True)


def as_text(payload: bytes) -> str | None:
    """The payload as text; None if it is none, or has signs in it that text has not."""
    try:
        text = payload.decode()
    except UnicodeDecodeError:
        return None
    return text if text.translate(_SPACES).isprintable() else None


def preview(payload: bytes) -> tuple[str, bool]:
    """The beginning of a payload, and whether it is text."""
    begin = payload[: PREVIEW_CHARS * 4]
    # the cut may have divided a sign
    for end in range(len(begin), max(-1, len(begin) - 4), -1):
        text = as_text(begin[:end])
        if text is not None and (end == len(begin) or len(begin) < len(payload)):
            return text[:PREVIEW_CHARS], True
    return payload[: PREVIEW_CHARS // 2].hex(), False


def plain(headers: dict[str, Any]) -> dict[str, Any]:
    """Headers, as JSON can carry them; what it cannot is shown as Python shows it."""
    shown: dict[str, Any] = msgspec.to_builtins(headers, str_keys=True, enc_hook=repr)
    return shown


def part_of(payload: bytes, offset: int) -> str:
    """A part of a payload from an offset on, as base64."""
    return base64.b64encode(payload[offset : offset + PART_BYTES]).decode()

"""Answers to questions about the messages of streams; JSON. Pure.

Read them with `msgspec.convert`, which ignores fields that a newer node has added.
"""

import base64
from typing import Any

import msgspec

PREVIEW_CHARS = 200
PART_BYTES = 4 * 1024 * 1024
_SPACES = dict.fromkeys(map(ord, "\t\n\r"))


class Summary(msgspec.Struct):
    """A message of a stream in a list.

    Attributes:
        headers: its headers as JSON, with bytes as base64.
        size: the size of its payload in bytes.
        sent_ns: the time when it was sent, in nanoseconds since 1970.
        preview: the first 200 characters of the payload if it is text, else its first 100 bytes, hexadecimal.
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
    """A dead letter in a list; `group` is the group that could not handle it.

    Attributes:
        attempts: the number of delivery attempts.
        reason: the reason why the last attempt failed.
        died_ns: the time when it became a dead letter, in nanoseconds since 1970.
    """

    attempts: int = 0
    reason: str = ""
    died_ns: int = 0


class Whole(LetterSummary):
    """A message or dead letter with its payload, or a part of the payload.

    Attributes:
        traceback: the traceback of the callback's exception; empty if the callback has not raised one.
        offset: the offset of the part, in bytes.
        base64: the part.
    """

    dead: bool = False
    traceback: str = ""
    offset: int = 0
    base64: str = ""

    @property
    def part(self) -> bytes:
        """The bytes of the part; raises `ValueError` if it is not base64."""
        return base64.b64decode(self.base64, validate=True)


def as_text(payload: bytes) -> str | None:
    """Return the payload as text; None if it is not UTF-8, or has unprintable characters."""
    try:
        text = payload.decode()
    except UnicodeDecodeError:
        return None
    return text if text.translate(_SPACES).isprintable() else None


def preview(payload: bytes) -> tuple[str, bool]:
    """Return the beginning of a payload, and whether the payload is text."""
    begin = payload[: PREVIEW_CHARS * 4]
    # the cut may have divided a character
    for end in range(len(begin), max(-1, len(begin) - 4), -1):
        text = as_text(begin[:end])
        if text is not None and (end == len(begin) or len(begin) < len(payload)):
            return text[:PREVIEW_CHARS], True
    return payload[: PREVIEW_CHARS // 2].hex(), False


def plain(headers: dict[str, Any]) -> dict[str, Any]:
    """Return headers for JSON; values that JSON does not have are replaced by their `repr`."""
    shown: dict[str, Any] = msgspec.to_builtins(headers, str_keys=True, enc_hook=repr)
    return shown


def part_of(payload: bytes, offset: int) -> str:
    """Return a part of a payload, beginning at an offset, as base64."""
    return base64.b64encode(payload[offset : offset + PART_BYTES]).decode()

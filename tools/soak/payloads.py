"""The messages of a soak: each says who it is, and the rest of it follows from that."""

from zlib import crc32

_MOST_BYTES = 400


def make_payload(label: str) -> str:
    """The message with a label, which has no blanks: up to 400 characters more."""
    number = crc32(label.encode())
    return f"{label} {f'{number:08x}' * (number % (_MOST_BYTES // 8))}"


def read_label(payload: object) -> str | None:
    """The label of a message; None if it is not as it was made."""
    if not isinstance(payload, str):
        return None
    label = payload.split(" ", 1)[0]
    return label if payload == make_payload(label) else None

"""The payloads of a soak: each begins with a label, from which the rest is computed."""

from zlib import crc32

_MOST_BYTES = 400


def make_payload(label: str) -> str:
    """Make the payload for a label without spaces; it adds up to 400 characters."""
    number = crc32(label.encode())
    return f"{label} {f'{number:08x}' * (number % (_MOST_BYTES // 8))}"


def read_label(payload: object) -> str | None:
    """Return the label of a payload; None if the payload is damaged."""
    if not isinstance(payload, str):
        return None
    label = payload.split(" ", 1)[0]
    return label if payload == make_payload(label) else None

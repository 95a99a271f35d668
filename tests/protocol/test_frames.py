"""The common parts of all frames of the wire format."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from colugo.errors import FrameError
from colugo.protocol.frames import MAGIC, MAX_COUNT, VERSION, check_count, check_end, check_header, cut


@given(st.lists(st.text(max_size=6), max_size=200), st.text(max_size=5))
def test_cutting_undoes_joining(parts: list[str], head: str) -> None:
    lengths = tuple(map(len, parts))
    text = head + "".join(parts)
    assert cut(text, len(head), lengths) == parts
    encoded = [part.encode("utf-8", "surrogatepass") for part in parts]
    joined = b"head" + b"".join(encoded)
    sizes = tuple(map(len, encoded))
    assert cut(joined, 4, sizes) == encoded
    assert cut(memoryview(joined), 4, sizes) == encoded


@given(st.integers(0, 5), st.integers(0, 300), st.binary(max_size=5))
def test_cutting_into_parts_of_one_size_undoes_joining(size: int, count: int, head: bytes) -> None:
    parts = [number.to_bytes(5, "little")[:size] for number in range(count)]
    assert cut(head + b"".join(parts), len(head), (size,) * count) == parts


def test_of_first_bytes_and_versions_just_ours_pass() -> None:
    check_header(MAGIC, VERSION)
    with pytest.raises(FrameError, match="the first byte is 0x47, not 0xc1"):
        check_header(0x47, VERSION)
    with pytest.raises(FrameError, match="wire format version 1; this is version 2"):
        check_header(MAGIC, 1)


def test_counts_pass_up_to_the_most_messages_of_a_frame() -> None:
    check_count(MAX_COUNT)
    with pytest.raises(FrameError, match="65537 messages in one frame; the limit is 65536"):
        check_count(MAX_COUNT + 1)


@given(st.integers(0, 10), st.integers(0, 10))
def test_an_end_passes_if_it_is_that_of_the_frame(end: int, size: int) -> None:
    if end == size:
        check_end(end, size)
        return
    with pytest.raises(FrameError, match=f"add up to {end} bytes, the frame has {size}"):
        check_end(end, size)

"""The hypothesis profile and strategies of the property tests."""

import os
import string

from hypothesis import settings
from hypothesis import strategies as st

# In CI the same examples each time, so that a failure there is about the change; elsewhere new ones.
settings.register_profile(
    "colugo",
    deadline=None,
    derandomize=bool(os.environ.get("CI") or os.environ.get("COLUGO_CI")),
    print_blob=True,
)
settings.load_profile("colugo")

TOPIC_SIGNS = string.ascii_letters + string.digits + "./_-"

topics = st.text(TOPIC_SIGNS, min_size=1, max_size=200)
socket_ids = st.binary(min_size=8, max_size=8)
uint64 = st.integers(0, 2**64 - 1)
texts = st.text(st.characters(exclude_categories=["Cs"]))
"""Texts that UTF-8 can encode: no lone surrogates."""

_numbers = st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
_json_leaves = st.none() | st.booleans() | _numbers | texts


def nested(leaves: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    """Lists and dicts of the leaves, several levels deep."""
    return st.recursive(leaves, lambda inner: st.lists(inner) | st.dictionaries(texts, inner), max_leaves=15)


json_values = nested(_json_leaves)
msgpack_values = nested(_json_leaves | st.binary())

"""Bindings of keys by RabbitMQ's rules, keys of any form included."""

import re
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from colugo.errors import ConfigurationError
from colugo.protocol import word_patterns
from colugo.protocol.streams import bindings
from colugo.protocol.streams.bindings import MAX_BINDINGS, Bindings, exact
from colugo.protocol.streams.message_parts import MAX_KEY_BYTES
from tests.support.memory import peak_bytes
from tests.support.strategies import texts
from tests.support.tracing import functions_of, lines_run
from tests.support.wildcards import fits

any_words = st.lists(st.sampled_from(["a", "b", "", "a b", "é/ü", "="]), max_size=6)
any_patterns = st.lists(st.sampled_from(["a", "b", "", "a b", "é/ü", "*", "#"]), max_size=6)
short_texts = texts.filter(lambda text: len(text.encode()) <= MAX_KEY_BYTES)


def words(text: str) -> list[str]:
    """Split a key as RabbitMQ splits a routing key: the empty one has no word."""
    return text.split(".") if text else []


@given(st.lists(any_patterns, min_size=1, max_size=4), any_words)
@example([["*"]], [])
@example([["*"]], [""])
@example([["#"]], [])
@example([[]], [])
@example([["#", "#", "a", "#"]], ["b", "a"])
@example([["a", "#", "a"]], ["a"])
def test_a_key_is_bound_if_a_pattern_matches_it_by_rabbitmqs_rules(
    patterns: list[list[str]], key: list[str]
) -> None:
    given_patterns = [".".join(pattern) for pattern in patterns]
    name = ".".join(key)
    found = Bindings(given_patterns)
    expected = any(fits(words(pattern), words(name)) for pattern in given_patterns)
    assert found.matches(name) is expected
    assert found.matches(name) is expected


@pytest.mark.parametrize(
    ("pattern", "yes", "no"),
    [
        ("lab.*", ["lab.door", "lab.", "lab.my door"], ["lab", "lab.door.open", ""]),
        ("lab.#", ["lab", "lab.door", "lab.door.open"], ["labs", "x.lab", ""]),
        ("*", ["door", "my door", "a/b", "=door"], ["", "a.b", "."]),
        ("*.*", [".", "a.b"], ["", "a", "a.b.c"]),
        ("my door", ["my door"], ["my", "door", "my doors"]),
        ("", [""], ["a", "."]),
        ("=a.*", ["a.*"], ["a.b", "=a.*", "a"]),
        ("==a", ["=a"], ["a", "==a"]),
        ("=", [""], ["=", "a"]),
    ],
)
def test_a_pattern_binds_the_keys_of_the_documents(pattern: str, yes: list[str], no: list[str]) -> None:
    found = Bindings([pattern])
    assert [key for key in yes if not found.matches(key)] == []
    assert [key for key in no if found.matches(key)] == []
    assert not found.all


@given(texts)
def test_a_hash_binds_every_key_and_is_known_to(key: str) -> None:
    found = Bindings(["lab.*", "#"])
    assert found.all
    assert found.matches(key)


@given(short_texts, texts)
@example("a.*", "a.b")
@example("#", "a")
@example("lab*", "lab")
@example("", "=")
@example("=", "=")
def test_an_exact_name_binds_itself_and_nothing_else(name: str, other: str) -> None:
    found = Bindings([exact(name)])
    assert found.matches(name)
    assert found.matches(other) is (name == other)
    assert not found.all


def test_all_patterns_count() -> None:
    found = Bindings(iter(["lab.*", exact("a*b"), "x.y"]))
    assert [key for key in ("lab.door", "a*b", "x.y", "x.z", "lab") if found.matches(key)] == [
        "lab.door",
        "a*b",
        "x.y",
    ]


# --- bounds


def test_keys_that_are_never_the_same_do_not_fill_the_memory() -> None:
    found = Bindings(["lab.*.door"])

    def match_many() -> None:
        for number in range(20_000):
            assert found.matches(f"lab.{number}.door")
            assert not found.matches(f"lab.{number}.window")

    assert peak_bytes(match_many) < 400_000


@pytest.mark.parametrize(
    ("pattern", "answer"),
    [
        ("#.a." * 63 + "#", True),
        ("#.a." * 63 + "b", False),
        ("*." * 127 + "*", True),
        ("#.*." * 63 + "b", False),
    ],
)
def test_the_worst_pattern_takes_a_few_steps_for_each_word(pattern: str, *, answer: bool) -> None:
    assert len(pattern) <= MAX_KEY_BYTES
    key = ".".join(["a"] * 128)
    found = Bindings([pattern])
    with lines_run(*functions_of(bindings), *functions_of(word_patterns)) as lines:
        assert found.matches(key) is answer
    assert lines.total() < 10 * 128


@given(st.lists(any_patterns, min_size=1, max_size=3))
def test_a_key_is_looked_up_once(patterns: list[list[str]]) -> None:
    found = Bindings([".".join(pattern) for pattern in patterns])
    found.matches("a.b")
    with lines_run(*functions_of(word_patterns)) as lines:
        found.matches("a.b")
    assert lines.total() == 0


# --- what is no binding


@pytest.mark.parametrize(
    ("patterns", "reason"),
    [
        ([], "there must be 1 to 1000 bindings, not 0"),
        (["a"] * (MAX_BINDINGS + 1), "not 1001"),
        ("#", re.escape("a list of patterns; write ['#']")),
        (["a", "b" * 256], "a binding must have at most 255 bytes of UTF-8, this has 256"),
        (["=" + "é" * 128], "at most 255 bytes of UTF-8, this has 256"),
        (["a", 5], "a binding must be a str, not int: 5"),
        ([b"#"], "a binding must be a str, not bytes"),
        (["\ud800"], "UTF-8 cannot encode the binding"),
        (["=\ud800"], "UTF-8 cannot encode the binding"),
        (["lab*"], "whole words, so 'lab[*]' cannot be in the pattern 'lab[*]'; .* exact"),
        (["a.##"], "whole words, so '##'"),
    ],
)
def test_what_is_no_binding_is_refused_with_the_reason(patterns: Any, reason: str) -> None:
    with pytest.raises(ConfigurationError, match=reason):
        Bindings(patterns)


@pytest.mark.parametrize("name", ["b" * 256, "é" * 128, "\ud800", 5])
def test_a_name_that_can_be_no_key_has_no_exact_pattern(name: Any) -> None:
    with pytest.raises(ConfigurationError, match="key"):
        exact(name)


@pytest.mark.parametrize("name", ["b" * 255, "é" * 127, "*" * 255])
def test_the_longest_key_can_be_bound(name: str) -> None:
    assert Bindings([exact(name)]).matches(name)

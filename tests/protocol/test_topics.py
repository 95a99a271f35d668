"""Topics, and patterns of topics against RabbitMQ's rules."""

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from colugo.errors import ColugoError, ConfigurationError, TopicError
from colugo.protocol import topics, word_patterns
from colugo.protocol.topics import MAX_TOPIC_BYTES, TopicPattern, check_topic, is_pattern
from tests.support.strategies import TOPIC_SIGNS
from tests.support.strategies import topics as any_topic
from tests.support.tracing import functions_of, lines_run
from tests.support.wildcards import fits

few_words = st.lists(st.sampled_from(["a", "b", "", "lab"]), min_size=1, max_size=7)
few_pattern_words = st.lists(st.sampled_from(["a", "b", "", "*", "#"]), min_size=1, max_size=7)


# --- topics


@given(any_topic)
def test_a_text_of_the_allowed_signs_is_a_topic_and_comes_back_as_it_is(topic: str) -> None:
    assert check_topic(topic) is topic
    assert not is_pattern(topic)


@given(st.text(max_size=250) | any_topic)
@example("x" * MAX_TOPIC_BYTES)
@example("x" * (MAX_TOPIC_BYTES + 1))
@example("lab temperature")
@example("µ")
@example("٣")
@example("lab\n")
@example("\ud800")
def test_any_text_is_a_topic_or_a_topic_error_by_the_rules(text: str) -> None:
    if 1 <= len(text.encode(errors="replace")) <= MAX_TOPIC_BYTES and set(text) <= set(TOPIC_SIGNS):
        assert check_topic(text) is text
    else:
        with pytest.raises(TopicError):
            check_topic(text)


@pytest.mark.parametrize("thing", [None, 5, b"lab", ["lab"], object()])
def test_what_is_no_str_is_refused_with_its_type_and_value(thing: Any) -> None:
    with pytest.raises(TopicError, match=f"a str, not {type(thing).__name__}") as caught:
        check_topic(thing)
    assert repr(thing) in str(caught.value)


def test_an_empty_topic_is_refused() -> None:
    with pytest.raises(TopicError, match="empty"):
        check_topic("")


def test_a_topic_that_is_too_long_is_refused_with_its_length_and_the_limit() -> None:
    with pytest.raises(TopicError, match="at most 200 bytes, this has 201") as caught:
        check_topic("a" * 201)
    assert len(str(caught.value)) < 150


@pytest.mark.parametrize("topic", ["lab.*", "#", "a*b", "lab#"])
def test_a_wildcard_in_a_topic_is_refused_and_the_error_says_where_it_may_stand(topic: str) -> None:
    with pytest.raises(TopicError, match="subscriber's pattern only") as caught:
        check_topic(topic)
    assert repr(topic) in str(caught.value)


def test_forbidden_signs_are_each_named_once() -> None:
    with pytest.raises(TopicError, match=r"letters, digits and \./-_ ") as caught:
        check_topic("lab door é é|")
    assert str(caught.value).endswith("has ' ', '|', 'é'")


def test_a_topic_error_is_a_value_error_and_a_configuration_error() -> None:
    assert issubclass(TopicError, ConfigurationError)
    assert issubclass(TopicError, ValueError)
    assert issubclass(TopicError, ColugoError)


# --- patterns


@given(few_pattern_words, few_words)
@example(["#"], [""])
@example(["#", "#"], ["a"])
@example(["lab", "#"], ["lab"])
@example(["*"], [""])
@example(["#", "a", "#"], ["b", "a"])
def test_a_pattern_matches_what_rabbitmqs_rules_say(pattern: list[str], topic: list[str]) -> None:
    text = ".".join(pattern)
    words = [] if topic == [""] else topic  # the empty text has no word
    if text:
        assert TopicPattern(text).matches(".".join(topic)) is fits(pattern, words)


@pytest.mark.parametrize(
    ("pattern", "yes", "no"),
    [
        ("lab.*", ["lab.door", "lab."], ["lab", "lab.door.open", "labs.door"]),
        ("lab.#", ["lab", "lab.door", "lab.door.open"], ["labs", "x.lab"]),
        ("#", ["lab", "lab.door", "a/b"], []),
        ("*.door", ["lab.door", ".door"], ["door", "a.lab.door"]),
        ("#.door", ["door", "lab.door", "a.lab.door"], ["doors", "door.lab"]),
        ("*.#", ["a", "a.b", "a.b.c"], []),
        ("a.#.z", ["a.z", "a.b.z", "a.b.c.z", "a.z.z"], ["a", "z", "a.b"]),
        ("lab.door", ["lab.door"], ["lab.doors", "lab/door", "lab"]),
    ],
)
def test_a_pattern_of_the_documents_matches(pattern: str, yes: list[str], no: list[str]) -> None:
    matches = TopicPattern(pattern).matches
    assert [topic for topic in yes if not matches(topic)] == []
    assert [topic for topic in no if matches(topic)] == []


@given(any_topic, any_topic)
def test_a_plain_topic_is_a_pattern_that_matches_itself_alone(topic: str, other: str) -> None:
    assert TopicPattern(topic).matches(topic)
    assert TopicPattern(topic).matches(other) is (topic == other)


@given(any_topic)
def test_a_hash_matches_every_topic(topic: str) -> None:
    assert TopicPattern("#").matches(topic)


@pytest.mark.parametrize(
    ("pattern", "answer"),
    [
        ("#" + ".#" * 99, True),
        ("*" + ".#" * 99, True),
        ("#" + ".*.#" * 49, True),
        ("#.a." * 49 + "a", True),
        ("#.a." * 49 + "b", False),
        ("#.*." * 49 + "b", False),
    ],
)
def test_the_worst_patterns_take_no_more_steps_than_words_of_pattern_and_of_topic(
    pattern: str, *, answer: bool
) -> None:
    words = ["a"] * 100
    with lines_run(*functions_of(topics), *functions_of(word_patterns)) as lines:
        assert TopicPattern(pattern).matches(".".join(words)) is answer
    assert 0 < lines.total() <= 20 * (len(pattern.split(".")) + len(words))


@pytest.mark.parametrize("pattern", ["a*", "lab.a#b.c", "##", "*#", "lab.**"])
def test_a_wildcard_within_a_word_is_refused_with_the_word_and_the_pattern(pattern: str) -> None:
    with pytest.raises(TopicError, match="whole words") as caught:
        TopicPattern(pattern)
    assert repr(pattern) in str(caught.value)


@pytest.mark.parametrize("pattern", ["lab.*.my door", "lab.#.é"])
def test_forbidden_signs_in_a_pattern_are_told_with_the_pattern_as_it_was_written(pattern: str) -> None:
    with pytest.raises(TopicError) as caught:
        TopicPattern(pattern)
    assert repr(pattern) in str(caught.value)


@pytest.mark.parametrize(
    ("pattern", "reason"), [("", "empty"), ("*." + "a" * 199, "at most 200 bytes, this has 201")]
)
def test_a_pattern_obeys_the_rules_of_topics(pattern: str, reason: str) -> None:
    with pytest.raises(TopicError, match=reason):
        TopicPattern(pattern)


@pytest.mark.parametrize("thing", [None, 5, b"lab.#"])
def test_a_pattern_that_is_no_str_is_refused(thing: Any) -> None:
    with pytest.raises(TopicError, match=f"a str, not {type(thing).__name__}"):
        TopicPattern(thing)
    assert not is_pattern(thing)


@given(st.text())
def test_a_text_is_a_pattern_if_it_has_a_wildcard(text: str) -> None:
    assert is_pattern(text) is ("*" in text or "#" in text)


def test_a_pattern_shows_its_text() -> None:
    assert repr(TopicPattern("lab.#")) == "Pattern('lab.#')"
    assert TopicPattern("lab.#").text == "lab.#"

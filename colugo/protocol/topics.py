"""Topics, and patterns of topics by RabbitMQ's rules."""

import re

from colugo.errors import TopicError
from colugo.protocol.word_patterns import WordPattern, has_wildcard

MAX_TOPIC_BYTES = 200

_SIGNS = re.compile(r"[A-Za-z0-9./_*#-]+")


def check_topic(topic: object) -> str:
    """Return the topic if it has 1 to 200 ASCII letters, digits or ./-_, else raise TopicError."""
    text = _check_text(topic, "topic")
    if is_pattern(text):
        raise TopicError(f"wildcards are allowed in a subscriber's pattern only, not in the topic {text!r}")
    return text


def is_pattern(text: str) -> bool:
    """Return True if the text has a wildcard, `*` or `#`."""
    return isinstance(text, str) and has_wildcard(text)


class TopicPattern:
    """A pattern of topics: words separated by `.`, `*` for one word, `#` for any number of words.

    The rules are those of RabbitMQ's topic exchange: `lab.*` matches `lab.door` and not
    `lab.door.open`; `lab.#` matches `lab`, `lab.door` and `lab.door.open`.

    Args:
        text: the pattern, at most 200 bytes; a plain topic is a pattern that matches itself.

    Raises:
        TopicError: if a word mixes a wildcard with other characters, or is not valid in a topic.
    """

    __slots__ = ("_words", "text")

    def __init__(self, text: str) -> None:
        self._words = WordPattern(_check_text(text, "pattern"))
        self.text = text

    def matches(self, topic: str) -> bool:
        """Return True if the topic matches, in one step for each of its words."""
        return self._words.matches(topic)

    def __repr__(self) -> str:
        return f"Pattern({self.text!r})"


def _check_text(text: object, what: str) -> str:
    if not isinstance(text, str):
        raise TopicError(f"a {what} must be a str, not {type(text).__name__}: {text!r}")
    if not text:
        raise TopicError(f"a {what} must not be empty")
    if len(text) > MAX_TOPIC_BYTES:
        raise TopicError(
            f"a {what} must have at most {MAX_TOPIC_BYTES} bytes, this has {len(text)}: {text[:40]!r}…"
        )
    if not _SIGNS.fullmatch(text):
        wrong = sorted(set(_SIGNS.sub("", text)))
        raise TopicError(
            f"a {what} may contain only letters, digits and ./-_ ; {text!r} has {', '.join(map(repr, wrong))}"
        )
    return text

"""Patterns of words separated by dots, by the rules of RabbitMQ's topic exchange."""

from colugo.errors import TopicError

ONE_WORD = "*"
ANY_WORDS = "#"


class WordPattern:
    """A pattern of words separated by `.`: `*` matches one word, `#` any number of words.

    Words may contain any characters. As in RabbitMQ, the empty text has no words, and `a.` has two. A word
    that mixes a wildcard with other characters raises TopicError.
    """

    __slots__ = ("_any_words", "_end", "_literals", "_one_word")

    def __init__(self, text: str) -> None:
        self._literals: dict[str, int] = {}
        self._one_word = 0
        self._any_words = 0
        state = 1
        for word in _split(text):
            if word == ANY_WORDS:
                if self._any_words & state >> 1:
                    continue  # a repeated # matches the same
                self._any_words |= state
            elif word == ONE_WORD:
                self._one_word |= state
            elif has_wildcard(word):
                raise TopicError(
                    f"a wildcard stands for whole words, so {word!r} cannot be in the pattern {text!r}"
                )
            else:
                self._literals[word] = self._literals.get(word, 0) | state
            state <<= 1
        self._end = state

    def matches(self, text: str) -> bool:
        """Return True if the text matches.

        It tracks a bit for each word of the pattern that may come next, so that each word of the text takes
        one step.
        """
        literals, one_word, any_words = self._literals, self._one_word, self._any_words
        states = 1 | (1 & any_words) << 1
        for word in _split(text):
            states = (states & (literals.get(word, 0) | one_word)) << 1 | states & any_words
            states |= (states & any_words) << 1
            if not states:
                return False
        return bool(states & self._end)


def has_wildcard(text: str) -> bool:
    """Return True if the text has a wildcard, `*` or `#`."""
    return ONE_WORD in text or ANY_WORDS in text


def _split(text: str) -> list[str]:
    return text.split(".") if text else []

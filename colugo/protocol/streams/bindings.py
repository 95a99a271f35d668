"""The bindings of a consumer group: patterns of message keys."""

from collections.abc import Iterable

from colugo.errors import ConfigurationError, TopicError
from colugo.protocol.streams.message_parts import MAX_KEY_BYTES, check_size
from colugo.protocol.word_patterns import ANY_WORDS, WordPattern, has_wildcard

MAX_BINDINGS = 1000
_EXACT = "="
_CACHED = 1024


def exact(name: str) -> str:
    """Return the pattern that matches exactly this key, even if it contains dots, `*` or `#`.

    Args:
        name: the key, at most 255 bytes of UTF-8.

    Raises:
        ConfigurationError: if it is not a valid key.
    """
    return _EXACT + check_size(name, "key", MAX_KEY_BYTES)


class Bindings:
    """Patterns of keys; a key is bound if one of them matches.

    The rules are those of RabbitMQ's topic exchange: words separated by `.`, `*` for one word, `#` for
    any number of words. A pattern that begins with `=` matches the rest literally: see `exact`.

    Args:
        patterns: 1 to 1,000, each of at most 255 bytes of UTF-8, a leading `=` not counted.

    Attributes:
        all: true if every key is bound.
        patterns: the given patterns without duplicates, in their order.

    Raises:
        ConfigurationError: if there are none or too many, or one is invalid.
    """

    __slots__ = ("_cache", "_keys", "_wild", "all", "patterns")

    def __init__(self, patterns: Iterable[str]) -> None:
        if isinstance(patterns, str):
            raise ConfigurationError(f"bindings must be a list of patterns; write [{patterns!r}]")
        given = list(patterns)
        if not 1 <= len(given) <= MAX_BINDINGS:
            raise ConfigurationError(f"there must be 1 to {MAX_BINDINGS} bindings, not {len(given)}")
        keys = set()
        wild = []
        for pattern in given:
            if isinstance(pattern, str) and pattern.startswith(_EXACT):
                keys.add(check_size(pattern[len(_EXACT) :], "binding", MAX_KEY_BYTES))
            elif has_wildcard(check_size(pattern, "binding", MAX_KEY_BYTES)):
                wild.append(_wild(pattern))
            else:
                keys.add(pattern)
        self.all = ANY_WORDS in given
        self._keys = frozenset(keys)
        self._wild = wild
        self.patterns = tuple(dict.fromkeys(given))
        self._cache: dict[str, bool] = {}

    def matches(self, key: str) -> bool:
        """Return True if the key is bound."""
        if self.all or key in self._keys:
            return True
        found = self._cache.get(key)
        if found is None:
            if len(self._cache) >= _CACHED:
                self._cache.clear()
            found = any(pattern.matches(key) for pattern in self._wild)
            self._cache[key] = found
        return found


def _wild(pattern: str) -> WordPattern:
    try:
        return WordPattern(pattern)
    except TopicError as error:
        raise ConfigurationError(
            f"{error}; to bind a key that contains a wildcard, use exact(…), which adds a leading ="
        ) from None

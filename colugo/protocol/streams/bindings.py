"""Which keys a consumer group takes."""

from collections.abc import Iterable

from colugo.errors import ConfigurationError, TopicError
from colugo.protocol.streams.message_parts import MAX_KEY_BYTES, check_size
from colugo.protocol.word_patterns import ANY_WORDS, WordPattern, has_wildcard

MAX_BINDINGS = 1000
_EXACT = "="
_CACHED = 1024


def exact(name: str) -> str:
    """The pattern that matches just this key, though it may have dots, `*` or `#` in it.

    Args:
        name: the key, at most 255 bytes of UTF-8.

    Raises:
        ConfigurationError: if it cannot be a key.
    """
    return _EXACT + check_size(name, "key", MAX_KEY_BYTES)


class Bindings:
    """Patterns of keys; a key that one of them matches is bound.

    The rules are those of RabbitMQ's topic exchange: words divided by `.`, `*` for one word, `#` for any
    number of words. A pattern that begins with `=` matches the rest as it is: see `exact`.

    Args:
        patterns: 1 to 1,000, each of at most 255 bytes of UTF-8, a leading `=` not counted.

    Attributes:
        all: whether every key is bound.
        patterns: as they were given.

    Raises:
        ConfigurationError: if there are none or too many, or one breaks the rules.
    """

    __slots__ = ("_cache", "_keys", "_wild", "all", "patterns")

    def __init__(self, patterns: Iterable[str]) -> None:
        if isinstance(patterns, str):
            raise ConfigurationError(f"bindings are a list of patterns; write [{patterns!r}]")
        given = list(patterns)
        if not 1 <= len(given) <= MAX_BINDINGS:
            raise ConfigurationError(f"1 to {MAX_BINDINGS} bindings are possible, not {len(given)}")
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
        """Whether the key is bound."""
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
            f"{error}; a key that has such a sign is bound by exact(…), that is with a leading ="
        ) from None

"""The bindings of a consumer group: patterns of message keys, now and when older messages were sent."""

from collections.abc import Iterable

from colugo.errors import ConfigurationError, TopicError
from colugo.protocol.streams.message_parts import MAX_KEY_BYTES, check_size
from colugo.protocol.word_patterns import ANY_WORDS, WordPattern, has_wildcard

MAX_BINDINGS = 1000
MAX_EARLIER = 16
"""The most earlier bindings that are kept; beyond that, the two oldest are merged."""
_EXACT = "="
_CACHED = 1024

Earlier = tuple[tuple[int, tuple[str, ...]], ...]
"""The last message number that each earlier binding applies to, and its patterns; ascending."""


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


class BindingHistory:
    """The current bindings of a group, and the earlier ones that still apply to unfinished messages.

    As with RabbitMQ's queues, a message is routed by the bindings at the time when it was sent.
    """

    __slots__ = ("_earlier", "now")

    def __init__(self, patterns: Iterable[str], earlier: Earlier = ()) -> None:
        self.now = Bindings(patterns)
        self._earlier = [(last, Bindings(before)) for last, before in earlier]

    @property
    def earlier(self) -> Earlier:
        """The earlier bindings, as they are stored."""
        return tuple((last, bindings.patterns) for last, bindings in self._earlier)

    @property
    def all(self) -> bool:
        """True if the group gets every message."""
        return self.now.all and not self._earlier

    def wants(self, seq: int, key: str) -> bool:
        """Return True if the group gets the message with a number and key."""
        for last, bindings in self._earlier:
            if seq <= last:
                return bindings.matches(key)
        return self.now.matches(key)

    def change(self, patterns: Iterable[str], last: int) -> bool:
        """Bind anew for messages that are sent from now on.

        Args:
            patterns: the new bindings.
            last: the number of the last message sent so far; 0 to apply the new bindings to all messages.

        Returns:
            False if the bindings are the same as before.
        """
        bindings, before = Bindings(patterns), self.now
        if bindings.patterns == before.patterns:
            return False
        self.now = bindings
        if not last:
            self._earlier.clear()
        elif not self._earlier or self._earlier[-1][0] < last:  # else no message was sent meanwhile
            self._earlier.append((last, before))
            if len(self._earlier) > MAX_EARLIER:
                (_, first), (until, second), *rest = self._earlier
                self._earlier = [(until, _merged(first, second)), *rest]
        return True

    def finish(self, seq: int) -> None:
        """Forget earlier bindings that apply only up to a number: the group has finished those messages."""
        while self._earlier and self._earlier[0][0] <= seq:
            del self._earlier[0]


def _merged(one: Bindings, other: Bindings) -> Bindings:
    patterns = {*one.patterns, *other.patterns}
    return Bindings(sorted(patterns) if len(patterns) <= MAX_BINDINGS else [ANY_WORDS])

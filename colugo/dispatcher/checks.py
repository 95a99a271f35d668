"""What callers are told of arguments that cannot work."""

import math

from colugo.errors import ConfigurationError, TopicError

LONGEST_TTL_MS = 10 * 365 * 86_400_000
"""Ten years: with what is longer, the floats of many deadlines would be the same, or there would be none."""


def check_ttl(ttl: object) -> int | float:
    """Return a time to live, ten years at most.

    Raises:
        ConfigurationError: with the value.
    """
    if isinstance(ttl, bool) or not isinstance(ttl, int | float) or not 0 < ttl < math.inf:
        raise ConfigurationError(f"a ttl is a number of milliseconds above 0, not {ttl!r}")
    return min(ttl, LONGEST_TTL_MS)


def check_kind(member: object, kind: type) -> None:
    """Refuse what is neither producer nor listener, where one is needed.

    Raises:
        ConfigurationError: with the object.
    """
    if not isinstance(member, kind):
        raise ConfigurationError(f"what is registered is a {kind.__name__}, not {member!r}")


def check_text(topic: object) -> str:
    """Return the topic if it can be one within a process.

    Raises:
        TopicError: with the object.
    """
    if not isinstance(topic, str):
        raise TopicError(f"a topic is a str, not {type(topic).__name__}: {topic!r}")
    return topic

"""A literal implementation of RabbitMQ's wildcard rules, to compare colugo's with."""


def fits(pattern: list[str], words: list[str]) -> bool:
    """Return True if the words match: `*` is one word, `#` is none or more."""
    if not pattern:
        return not words
    if pattern[0] == "#":
        return any(fits(pattern[1:], words[taken:]) for taken in range(len(words) + 1))
    return bool(words) and pattern[0] in ("*", words[0]) and fits(pattern[1:], words[1:])

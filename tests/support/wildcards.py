"""RabbitMQ's rules of wildcards, as they are told: what colugo's are held against."""


def fits(pattern: list[str], words: list[str]) -> bool:
    """Whether the words fit: `*` is one word, `#` is none or more."""
    if not pattern:
        return not words
    if pattern[0] == "#":
        return any(fits(pattern[1:], words[taken:]) for taken in range(len(words) + 1))
    return bool(words) and pattern[0] in ("*", words[0]) and fits(pattern[1:], words[1:])

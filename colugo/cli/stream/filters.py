"""Which dead letters are meant."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import click

from colugo.cli.stream.access import Found
from colugo.errors import ConfigurationError
from colugo.protocol.streams.bindings import Bindings
from colugo.protocol.streams.message_ids import split_id
from colugo.protocol.streams.message_parts import check_group


@dataclass(frozen=True, slots=True)
class LetterFilters:
    """Those that fit all that is given.

    Attributes:
        ids: of messages; empty for all.
        group: of consumers; None for all.
        key: pattern of keys; None for all.

    Raises:
        ConfigurationError: if one of them cannot work.
    """

    ids: tuple[str, ...] = ()
    group: str | None = None
    key: str | None = None

    def __post_init__(self) -> None:
        for one in self.ids:
            split_id(one)
        if self.group is not None:
            check_group(self.group)
        if self.key is not None:
            Bindings([self.key])

    @property
    def given(self) -> bool:
        """Whether there is any."""
        return bool(self.ids) or self.group is not None or self.key is not None

    def of(self, found: Found) -> dict[str, Any] | None:
        """The arguments of a question to a stream; None if none of its messages is meant."""
        arguments: dict[str, Any] = {"group": self.group, "key": self.key}
        if self.ids:
            arguments["ids"] = [one for one in self.ids if split_id(one)[0] == found.stream.stream_id]
            if not arguments["ids"]:
                return None
        return arguments

    def __str__(self) -> str:
        texts = [f"with the id {', '.join(self.ids)}"] if self.ids else []
        if self.group is not None:
            texts.append(f"of group {self.group}")
        if self.key is not None:
            texts.append(f"with keys like {self.key!r}")
        return " ".join(texts)


def filter_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --id, --group and --key."""
    for option in (
        click.option("--key", metavar="PATTERN", help="With such keys: * is one word, # any number."),
        click.option("--group", metavar="GROUP", help="Of this consumer group."),
        click.option(
            "--id", "ids", multiple=True, metavar="ID", help="Of this message; more than once for more."
        ),
    ):
        command = option(command)
    return command


def filters(ids: tuple[str, ...], group: str | None, key: str | None) -> LetterFilters:
    """The filters that were given.

    Raises:
        click.UsageError: if one of them cannot work.
    """
    try:
        return LetterFilters(ids, group, key)
    except ConfigurationError as error:
        raise click.UsageError(str(error)) from error

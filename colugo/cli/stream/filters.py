"""Filters that select dead letters."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import click

from colugo.cli.stream.access import Found
from colugo.errors import ConfigurationError
from colugo.protocol.streams.bindings import Bindings
from colugo.protocol.streams.message_parts import check_group
from colugo.protocol.streams.stream_message import split_id


@dataclass(frozen=True, slots=True)
class LetterFilters:
    """A selection of dead letters that match all given filters: ids, a consumer group, a pattern of keys."""

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
        """True if any filter is set."""
        return bool(self.ids) or self.group is not None or self.key is not None

    def of(self, found: Found) -> dict[str, Any] | None:
        """Return the arguments of a question to a stream; None if no message of it is selected."""
        arguments: dict[str, Any] = {"group": self.group, "key": self.key}
        if self.ids:
            arguments["ids"] = [one for one in self.ids if split_id(one)[0] == found.stream.stream_id]
            if not arguments["ids"]:
                return None
        return arguments

    def __str__(self) -> str:
        texts = [f"with id {', '.join(self.ids)}"] if self.ids else []
        if self.group is not None:
            texts.append(f"of group {self.group}")
        if self.key is not None:
            texts.append(f"with a key that matches {self.key!r}")
        return " ".join(texts)


def filter_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --id, --group and --key."""
    for option in (
        click.option(
            "--key", metavar="PATTERN", help="Select keys by pattern: * matches one word, # any number."
        ),
        click.option("--group", metavar="GROUP", help="Select the dead letters of a consumer group."),
        click.option(
            "--id", "ids", multiple=True, metavar="ID", help="Select a message by id; repeat for more."
        ),
    ):
        command = option(command)
    return command


def filters(ids: tuple[str, ...], group: str | None, key: str | None) -> LetterFilters:
    """Build the filters from a command's options."""
    try:
        return LetterFilters(ids, group, key)
    except ConfigurationError as error:
        raise click.UsageError(str(error)) from error

"""The target of the terminal."""

import re
from typing import Any, ClassVar

from rich.console import Console

from colugo.distributor.target_options import TargetOptions
from colugo.distributor.targets.payload import as_text
from colugo.distributor.threaded_target import ThreadedDistributionTarget

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""All control characters but tab and line feed: with them, a message could take over the terminal."""


class ConsoleTarget(ThreadedDistributionTarget):
    r"""Prints each message to the standard output.

    Messages are not trusted: control characters are printed as `\x1b`, and rich's markup has no meaning.
    """

    default_options: ClassVar = TargetOptions(workers=1, retries=0)

    _console: Console | None = None

    def __init__(self) -> None:
        super().__init__(poolsize=1)

    def process(self, message: Any) -> None:
        """Print a message.

        Args:
            message: the message.

        Raises:
            BrokenPipeError: if the program that read the output has ended.
        """
        if self._console is None:
            self._console = _Console(markup=False, highlight=False, emoji=False, soft_wrap=True)
        self._console.print(_CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", as_text(message)))


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Raise, instead of ending the process with status 1 as rich does."""
        raise  # noqa: PLE0704 - called while the error is handled

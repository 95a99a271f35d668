"""Measured tables in a page."""

from collections.abc import Sequence
from pathlib import Path

from tools.bench.report import as_markdown, goals_as_markdown
from tools.bench.results import Results

BEGIN = "[//]: # (measured: begin)"
END = "[//]: # (measured: end)"


class MarkersError(Exception):
    """A page has not the two lines between which the tables belong."""


def renew(page: Path, everything: Sequence[Results]) -> None:
    """Replace what is between the two marked lines of a page.

    Args:
        page: a file in Markdown.
        everything: the results, in order.

    Raises:
        MarkersError: if the page has not both lines, once each.
    """
    text = page.read_text(encoding="utf-8")
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise MarkersError(f"it has to hold {BEGIN} and then {END}, once each")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    page.write_text(f"{before}{BEGIN}\n\n{_measured(everything)}\n\n{END}{after}", encoding="utf-8")


def _measured(everything: Sequence[Results]) -> str:
    machines = list(dict.fromkeys(results.machine for results in everything))
    versions = {library: text for results in everything for library, text in results.versions.items()}
    commands = dict.fromkeys(results.command for results in everything)
    lines = [
        *(
            f"Machine: {machine.processor}, {machine.cpus} cores; {machine.system}; Python {machine.python}."
            for machine in machines
        ),
        "",
        "Libraries: " + ", ".join(f"{library} {text}" for library, text in versions.items()) + ".",
        "",
        "Commands: " + ", ".join(f"`{command}`" for command in commands) + ".",
    ]
    return "\n\n".join(
        ["\n".join(lines), goals_as_markdown(everything), *(as_markdown(results) for results in everything)]
    ).rstrip()

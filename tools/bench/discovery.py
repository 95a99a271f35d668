"""How soon sockets find each other: a new one in a running network, and a new process that joins one."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import click
from rich.console import Console

from tools.bench.discovery_roles import ROUND_S
from tools.bench.libraries import REFERENCE, installed, left_out
from tools.bench.processes import Child, NoAnswerError
from tools.bench.report import Goal, as_table, write_json
from tools.bench.rounds import RoundFailedError
from tools.bench.runner import Scenario, run

MEMBERS = 5
_START_S = 30.0
_NS_IN_MS = 1e6
_ROLES = "tools.bench.discovery_roles"


class NewSocket:
    """Two processes that know each other; one adds a publisher for which the other waits.

    A round lasts from the call of `add_publisher` to the other side's `on_connect`. Each has a topic of
    its own, and what it added is closed after it.

    Args:
        library: what the processes use.
        network: the number of their network.
    """

    def __init__(self, library: str, network: int) -> None:
        with ExitStack() as stack:
            self._watcher = stack.enter_context(Child(_ROLES, "watch", library, str(network)))
            self._announcer = stack.enter_context(Child(_ROLES, "announce", library, str(network)))
            for child in (self._watcher, self._announcer):
                child.expect("ready", within=_START_S)
            # once without measuring: the two have to know each other
            self._measure("warm.up")
            self._children = stack.pop_all()

    def measure(self, number: int) -> float:
        """Measure a round, in milliseconds.

        Raises:
            RoundFailedError: if `on_connect` does not come in time.
        """
        try:
            return self._measure(f"round.{number}")
        except NoAnswerError as error:
            raise RoundFailedError(str(error)) from error

    def close(self) -> None:
        """End the processes."""
        self._children.close()

    def _measure(self, topic: str) -> float:
        self._watcher.ask(f"watch {topic}", "watching", topic, within=ROUND_S)
        try:
            (began,) = self._announcer.ask(f"open {topic}", "opened", topic, within=ROUND_S)
            (ended,) = self._watcher.expect("connected", topic, within=ROUND_S)
        finally:
            for child in (self._announcer, self._watcher):
                child.ask("close", "closed", within=ROUND_S)
        return (int(ended) - int(began)) / _NS_IN_MS


class NewProcess:
    """A fresh process that joins five others, each of which publishes every millisecond and reads another.

    A round lasts from the making of its node, with all imports done, to its first message. Between
    rounds the five are silent, so that they take no time from other libraries' rounds.

    Args:
        library: what the processes use.
        network: the number of their network.
    """

    def __init__(self, library: str, network: int) -> None:
        self._library = library
        self._network = network
        with ExitStack() as stack:
            self._members = [
                stack.enter_context(
                    Child(_ROLES, "member", library, str(network), _topic(number), _topic(number + 1))
                )
                for number in range(MEMBERS)
            ]
            for child in self._members:
                child.expect("ready", within=_START_S)
            self._children = stack.pop_all()

    def measure(self, number: int) -> float:
        """Measure a round, in milliseconds.

        Raises:
            RoundFailedError: if there is no message in time, or the process fails.
        """
        try:
            with self._all_sending(), self._joining(number) as child:
                (took,) = child.expect("heard", within=_START_S + ROUND_S)
        except NoAnswerError as error:
            raise RoundFailedError(str(error)) from error
        return int(took) / _NS_IN_MS

    def close(self) -> None:
        """End the processes."""
        self._children.close()

    def _joining(self, number: int) -> Child:
        return Child(_ROLES, "join", self._library, str(self._network), _topic(number))

    @contextmanager
    def _all_sending(self) -> Iterator[None]:
        self._tell_all("go", "going")
        try:
            yield
        finally:
            self._tell_all("close", "closed")

    def _tell_all(self, word: str, answer: str) -> None:
        for child in self._members:
            child.tell(word)
        for child in self._members:
            child.expect(answer, within=ROUND_S)


def _topic(number: int) -> str:
    return f"member.{number % MEMBERS}"


_SCENARIOS = (
    Scenario("new socket", NewSocket, Goal(p50_ms=10)),
    Scenario("new process", NewProcess, Goal(p50_ms=15, p99_ms=200)),
)


@click.command()
@click.option("--rounds", type=click.IntRange(1), default=100, show_default=True, help="How many of each.")
@click.option("--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Write all here.")
def discovery(rounds: int, json_file: Path | None) -> None:
    """Measure how soon sockets find each other.

    "new socket": from add_publisher in a running network to the other process's on_connect (zenoh: from
    declare_publisher to the liveliness token at the other process).

    "new process": from making a node in a fresh process, imports done, to its first message out of a
    network of five processes that send every millisecond.

    Ends with status 0 when every round gave a figure, with 1 when one did not or a process did not end well.
    Goals that are missed do not change the status: they depend on the machine.

    \b
    Examples:
      python -m tools.bench discovery
      python -m tools.bench discovery --rounds 20 --json build/discovery.json
    """  # noqa: D301 - click wants the character \b, which stops its wrapping
    versions = installed()
    for library, distribution in left_out().items():
        click.echo(f"Left out: {library} is not installed (pip install {distribution})", err=True)
    try:
        outcome = run(_SCENARIOS, list(versions), rounds)
    except NoAnswerError as error:
        raise click.ClickException(str(error)) from error
    title = "discovery: " + ", ".join(f"{library} {version}" for library, version in versions.items())
    console = Console()
    console.print(as_table(title, outcome.rows, reference=REFERENCE))
    for problem in outcome.problems:
        console.print(problem, markup=False)
    if json_file is not None:
        write_json(json_file, "discovery", versions, outcome.rows, reference=REFERENCE)
    if outcome.problems:
        raise SystemExit(1)

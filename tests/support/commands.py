"""Running `colugo doctor`, `why` and `nodes` on hosts of a test's own, and the programs that they look at."""

import json
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from tests.support.essentials import Program, new_realm
from tests.support.namespaces import Host

Findings = list[dict[str, str]]


@dataclass(frozen=True)
class Result:
    """The result of a command.

    Attributes:
        status: its exit status.
        findings: of doctor and why.
    """

    status: int
    findings: Findings

    def bad(self) -> Findings:
        """Those that are not ok."""
        return [one for one in self.findings if one["level"] != "ok"]

    def named(self, *words: str) -> dict[str, str]:
        """The finding that is not ok and has all these words in its text."""
        found = [one for one in self.bad() if all(word in one["text"] for word in words)]
        assert found, f"no finding with {words} in:\n{self}"
        assert all(one["advice"] for one in found), f"nothing to do about it in:\n{self}"
        return found[0]

    def __str__(self) -> str:
        lines = (f"{one['level']:8} {one['check']}: {one['text']} → {one['advice']}" for one in self.findings)
        return "\n".join([f"exit status {self.status}", *lines])


def output_of(
    host: Host, *arguments: str, realm: str, env: Mapping[str, str] | None = None
) -> tuple[int, str]:
    """Run `colugo` on a host to its end: its exit status, and what it prints."""
    with host.program(["-m", "colugo.cli.main", *arguments], realm=realm, env=env) as program:
        status = program.wait(30)
        return status, "\n".join(program.lines)


class Site:
    """Programs on hosts, stopped together.

    Args:
        realm: of all that are not told another.
    """

    def __init__(self) -> None:
        self.realm = new_realm()
        self._programs = ExitStack()
        self._begun: list[Program] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._programs.close()

    def party(self, host: Host, name: str, *, env: dict[str, str] | None = None, **told: Any) -> Program:
        """Start a node and return when its sockets are there."""
        program = self._start(host, "party", {"name": name, **told}, env)
        program.expect("begun")
        self._begun.append(program)
        return program

    def settle(self) -> None:
        """Return when all nodes have connected what they wait for."""
        for program in self._begun:
            program.expect("settled")
        self._begun.clear()

    def record(self, host: Host, **told: Any) -> None:
        """Advertise a publisher that is not there."""
        self._start(host, "record", {"interface": host.address, **told}).expect("advertised")

    def doctor(self, host: Host, *arguments: str, env: Mapping[str, str] | None = None) -> Result:
        """Run `colugo doctor`."""
        status, text = output_of(host, "doctor", "--json", *arguments, realm=self.realm, env=env)
        return Result(status, json.loads(text)["findings"])

    def why(self, host: Host, topic: str, *, env: Mapping[str, str] | None = None) -> Result:
        """Run `colugo why`."""
        status, text = output_of(host, "why", topic, "--json", realm=self.realm, env=env)
        return Result(status, json.loads(text))

    def _start(
        self, host: Host, module: str, told: dict[str, Any], env: dict[str, str] | None = None
    ) -> Program:
        arguments = ["-m", f"tests.programs.{module}", json.dumps(told)]
        return self._programs.enter_context(host.program(arguments, realm=self.realm, env=env))

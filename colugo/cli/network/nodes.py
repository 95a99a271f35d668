"""The command `colugo nodes`."""

import sys
from typing import Any

import click
from rich.text import Text

from colugo.cli.network.gather import GatherOptions
from colugo.cli.network.options import gather_now, network_options
from colugo.cli.network.output import cell, print_json, screen, table
from colugo.diagnosis.facts import Facts
from colugo.diagnosis.number_formats import count

_COLUMNS = ("node", "realm", "host", "address", "pid", "sockets", "version")


@click.command(
    epilog="""\b
Exit status:
  0    all discovered nodes answered
  1    no node was discovered, or at least one did not answer
  2    usage error
  130  interrupted by Ctrl-C

\b
Examples:
  colugo nodes
  colugo nodes --all-realms
  colugo nodes --scope eth0 --json
"""
)
@click.option("--all-realms", is_flag=True, help="Include the nodes of other realms.")
@network_options
def nodes(*, all_realms: bool, as_json: bool, wait: float, scope: str | None, realm: str | None) -> None:
    """List the nodes on the network.

    Discovers nodes over mDNS, then asks each one to describe itself. A node that is discovered but does not
    answer is listed as "does not answer".
    """
    facts = gather_now(GatherOptions(realm=realm, scope=scope, seconds=wait))
    rows = sorted(_rows(facts), key=lambda row: (row["realm"], row["node"], row["uuid"]))
    shown = [row for row in rows if all_realms or row["realm"] == facts.realm]
    if as_json:
        print_json(shown)
    else:
        _print(shown, facts, hidden=len(rows) - len(shown))
    sys.exit(0 if shown and all(row["answers"] for row in shown) else 1)


def _rows(facts: Facts) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for uuid, name in facts.node_ids.items():
        node = facts.nodes.get(uuid)
        sockets = facts.sockets_of(uuid)
        row = {
            "node": name,
            "uuid": uuid,
            "realm": sockets[0].realm if node is None else node.realm,
            "host": "" if node is None else node.host_name,
            "addresses": facts.addresses_of(uuid),
            "pid": None if node is None else node.pid,
            "sockets": sum(one.kind != "node" for one in sockets) if node is None else len(node.parts),
            "version": "" if node is None else node.version,
            "answers": node is not None,
            "error": facts.silent.get(uuid, ""),
        }
        rows.append(row)
    return rows


def _print(rows: list[dict[str, Any]], facts: Facts, *, hidden: int) -> None:
    if rows:
        screen().print(table(_COLUMNS, map(_cells, rows), right=("pid", "sockets")))
    else:
        click.echo(f"No nodes found in realm {facts.realm}.")
    if hidden:
        click.echo(f"{count(hidden, 'node')} in other realms: use --all-realms to list them.")
    if not rows and not hidden:
        click.echo("If you expected some, run `colugo doctor`.")


def _cells(row: dict[str, Any]) -> list[Text]:
    values = [row["node"], row["realm"], row["host"] or "?", ", ".join(row["addresses"])]
    if row["answers"]:
        return [cell(value) for value in (*values, row["pid"], row["sockets"], row["version"])]
    return [cell(value, "red") for value in (*values, "?", f"{row['sockets']}+", "does not answer")]

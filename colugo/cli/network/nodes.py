"""The command `colugo nodes`."""

import sys

import click
from rich.table import Table
from rich.text import Text

from colugo.cli.network.gather import GatherOptions
from colugo.cli.network.options import gather_now, network_options
from colugo.cli.network.output import clean, console, print_json
from colugo.diagnosis.facts import Facts
from colugo.diagnosis.wording import count

_COLUMNS = ("node", "realm", "host", "address", "pid", "sockets", "version")
_PIPE_WIDTH = 200


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


def _rows(facts: Facts) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for uuid, name in facts.node_ids.items():
        node = facts.nodes.get(uuid)
        sockets = facts.sockets_of(uuid)
        rows.append(
            {
                "node": name,
                "uuid": uuid,
                "realm": node.realm if node is not None else sockets[0].realm,
                "host": node.host_name if node is not None else "",
                "addresses": facts.addresses_of(uuid),
                "pid": node.pid if node is not None else None,
                "sockets": len(node.parts)
                if node is not None
                else sum(one.kind != "node" for one in sockets),
                "version": node.version if node is not None else "",
                "answers": node is not None,
                "error": facts.silent.get(uuid, ""),
            }
        )
    return rows


def _print(rows: list[dict[str, object]], facts: Facts, *, hidden: int) -> None:
    out = console()
    if not out.is_terminal:
        out.width = _PIPE_WIDTH
    if rows:
        out.print(_table(rows))
    else:
        click.echo(f"No nodes found in realm {facts.realm}.")
    if hidden:
        click.echo(f"{count(hidden, 'node')} in other realms: use --all-realms to list them.")
    if not rows and not hidden:
        click.echo("If you expected some, run `colugo doctor`.")


def _table(rows: list[dict[str, object]]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    for column in _COLUMNS:
        table.add_column(column, justify="right" if column in ("pid", "sockets") else "left", overflow="fold")
    for row in rows:
        addresses = row["addresses"]
        assert isinstance(addresses, list)
        cells = [row["node"], row["realm"], row["host"] or "?", ", ".join(addresses)]
        if row["answers"]:
            cells += [row["pid"], row["sockets"], row["version"]]
            table.add_row(*(Text(clean(str(cell))) for cell in cells))
        else:
            cells += ["?", f"{row['sockets']}+", "does not answer"]
            table.add_row(*(Text(clean(str(cell)), style="red") for cell in cells))
    return table

"""The command line of the benchmarks: a command each."""

import click

from tools.bench.discovery import discovery


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Measure colugo on this machine, beside other libraries where they are installed.

    All traffic stays on loopback. To have the others: pip install -e '.[bench]'
    """


main.add_command(discovery)

if __name__ == "__main__":
    main(prog_name="python -m tools.bench")

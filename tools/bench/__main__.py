"""Starts the command line of the benchmarks."""

from tools.bench.commands import main

main(prog_name="python -m tools.bench")

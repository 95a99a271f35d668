"""Starts the command line of the soak."""

from tools.soak.commands import main

main(prog_name="python -m tools.soak")

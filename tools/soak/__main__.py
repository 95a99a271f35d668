"""The entry point of `python -m tools.soak`."""

from tools.soak.commands import main

main(prog_name="python -m tools.soak")

"""A soak test of streams that kills processes and cuts cables: `python -m tools.soak --help`."""

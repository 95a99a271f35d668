"""A soak of streams, with processes that are killed and links that are cut: `python -m tools.soak --help`."""

"""Benchmarks of colugo beside other libraries: `python -m tools.bench --help`."""

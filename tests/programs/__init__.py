"""Programs that tests run as processes: `python -m tests.programs.NAME OPTIONS`, the options as JSON."""

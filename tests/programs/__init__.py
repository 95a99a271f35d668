"""Programs that tests run as processes of their own: `python -m tests.programs.NAME OPTIONS`, options as JSON."""

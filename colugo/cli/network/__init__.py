"""The commands that inspect the network: `nodes`, `doctor` and `why`."""

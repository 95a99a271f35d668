"""The command `colugo stream`: inspects messages, dead letters and groups of streams."""

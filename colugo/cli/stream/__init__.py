"""The command `colugo stream`: what streams keep, their dead letters and groups."""

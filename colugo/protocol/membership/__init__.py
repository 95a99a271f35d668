"""Which nodes are there, as linked nodes tell each other."""

"""The commands that look at the network: nodes, doctor, why."""

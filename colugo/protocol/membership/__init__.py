"""Membership: the nodes that are present, as linked nodes gossip it."""

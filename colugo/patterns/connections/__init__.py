"""Connections from a node to the sockets it discovers."""

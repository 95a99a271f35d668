"""Descriptions of nodes, their parts and the messages of streams, as plain data."""

"""Directories, and the exchange of node records between nodes."""

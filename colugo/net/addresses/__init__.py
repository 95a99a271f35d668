"""Scopes, interfaces and routes: the addresses of a node, and the way to a peer."""

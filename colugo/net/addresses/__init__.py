"""Scopes, interfaces and routes: which addresses a node uses, and which of a peer's addresses answers."""

"""Diagnosis of a network from collected facts: pure, so tests need no network."""

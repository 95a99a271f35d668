"""Targets, one to a file."""

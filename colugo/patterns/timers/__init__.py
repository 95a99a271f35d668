"""Callbacks at a fixed rate, or once after a delay."""

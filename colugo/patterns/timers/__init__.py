"""Timers: callbacks at a fixed rate, or once after a delay."""

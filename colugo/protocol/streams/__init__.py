"""Frames and state machines of streams."""

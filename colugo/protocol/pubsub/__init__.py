"""Frames and state machines of publish/subscribe."""

"""Frames and state machines of request/reply and surveys."""

"""The frames and state machines of streams."""

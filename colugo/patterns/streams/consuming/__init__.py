"""The consumer: connections to streams, and the callback that handles messages."""

"""Streams, whose messages are kept until they are acknowledged, and the consumers of them."""

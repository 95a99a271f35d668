"""What a node answers when tools and other nodes ask about it."""

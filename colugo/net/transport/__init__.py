"""ZeroMQ sockets on the loop: creation, reading, batching, limits."""

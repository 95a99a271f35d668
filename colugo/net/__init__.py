"""ZeroMQ sockets on the loop, and the directories by which nodes find each other."""

"""The command `colugo demo`: processes on this machine that find each other, communicate and fail."""

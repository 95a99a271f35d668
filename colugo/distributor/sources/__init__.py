"""Sources, one to a file."""

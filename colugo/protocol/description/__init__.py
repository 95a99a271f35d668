"""What a node reports about itself, as plain data."""

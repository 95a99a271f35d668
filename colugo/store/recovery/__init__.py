"""Copying what is readable out of a damaged store."""

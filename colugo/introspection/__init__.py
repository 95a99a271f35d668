"""Answers to questions that tools and other nodes ask a node."""

"""Publish/subscribe: publisher and subscriber."""

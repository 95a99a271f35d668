"""Formatters: from messages to the text that a target sends."""

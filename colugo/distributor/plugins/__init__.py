"""Plugins: functions in the modules of a directory that make sources and targets."""

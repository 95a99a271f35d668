"""The version of colugo."""

__version__ = "0.1.0"

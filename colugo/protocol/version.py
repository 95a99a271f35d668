"""The version of colugo, also for those who ask a node over the network."""

__version__ = "0.1.0"

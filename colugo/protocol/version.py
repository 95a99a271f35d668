"""The version of colugo, also for those who ask a node over the network."""

VERSION = "0.1.0"

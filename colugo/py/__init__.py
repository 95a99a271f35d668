"""The import path of the original colugo: `from colugo.py.node import Node`."""

"""Imports the modules named on the command line: the main program of every layer's Bazel test.

Bazel makes only the layer and its declared dependencies importable, so an upward or sideways import fails.
"""

import sys
from importlib import import_module

if __name__ == "__main__":
    for name in sys.argv[1:]:
        import_module(name)

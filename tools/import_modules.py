"""Imports the modules named on the command line: the main program of every layer's Bazel test.

Bazel puts only the layer and its declared dependencies in reach, so an import that goes up or
sideways fails here.
"""

import sys
from importlib import import_module

if __name__ == "__main__":
    for name in sys.argv[1:]:
        import_module(name)

"""The tour of `colugo demo`, for those who start it with `bazel run //examples:demo`.

    python examples/demo.py
    python examples/demo.py --seconds 30

Needs nothing else to run, and ends by itself.
"""

import sys

from colugo.cli.main import main

if __name__ == "__main__":
    main(["demo", *sys.argv[1:]])

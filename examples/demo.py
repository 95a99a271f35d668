"""The `colugo demo` command as an example, for `bazel run //examples:demo`.

    python examples/demo.py
    python examples/demo.py --seconds 30

It starts all processes that it needs, and ends after 15 seconds.
"""

import sys

from colugo.cli.main import main

if __name__ == "__main__":
    main(["demo", *sys.argv[1:]])

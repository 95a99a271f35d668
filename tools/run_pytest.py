"""Runs pytest as a Bazel test: the main program of every `pytest_test`."""

import os
import sys
from pathlib import Path

# Bazel exposes the packages of the machine's own Python, and pytest would load the plugins among them. The
# command line names the wanted plugins instead.
os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
os.environ.setdefault("COLUGO_SCOPE", "host")
if "TEST_TMPDIR" in os.environ:
    # the source folder is read-only here, and hypothesis warns when it cannot write
    os.environ["HYPOTHESIS_STORAGE_DIRECTORY"] = str(Path(os.environ["TEST_TMPDIR"], "hypothesis"))

import pytest


class Deselections:
    """A pytest plugin that counts the tests which a marker or filter deselected."""

    def __init__(self) -> None:
        self.count = 0

    def pytest_deselected(self, items: list[pytest.Item]) -> None:
        """Count deselected tests (a pytest hook)."""
        self.count += len(items)


def bazel_arguments(environment: dict[str, str]) -> list[str]:
    """Translate Bazel's environment variables (its Test Encyclopedia) to arguments of pytest."""
    arguments = []
    if "XML_OUTPUT_FILE" in environment:
        arguments.append(f"--junitxml={environment['XML_OUTPUT_FILE']}")
    if "TESTBRIDGE_TEST_ONLY" in environment:
        arguments += ["-k", environment["TESTBRIDGE_TEST_ONLY"]]
    return arguments


def main() -> int:
    """Run pytest; a file passes if all its tests are deselected."""
    left_out = Deselections()
    arguments = ["-p", "no:cacheprovider", "--rootdir=.", *bazel_arguments(dict(os.environ)), *sys.argv[1:]]
    code = pytest.main(arguments, plugins=[left_out])
    if code == pytest.ExitCode.NO_TESTS_COLLECTED and left_out.count:
        return 0
    return int(code)


if __name__ == "__main__":
    sys.exit(main())

"""Tests that pytest runs."""

load("@rules_python//python:defs.bzl", "py_test")

_RUNNER = "//tools:run_pytest.py"

# The runner turns automatic loading off.
_PLUGINS = ["pytest_timeout", "_hypothesis_pytestplugin", "colugo.testing"]

def pytest_test(name, src, deps = [], args = [], **kwargs):
    """Runs one test file, without what is marked slow or measures.

    `--test_filter=words` selects tests as pytest's `-k` does, and
    `--test_arg=-m --test_arg=slow` runs the slow ones.

    Args:
      name: the target's name.
      src: the test file.
      deps: what it imports.
      args: more arguments for pytest.
      **kwargs: passed to py_test.
    """
    plugins = []
    for plugin in _PLUGINS:
        plugins += ["-p", plugin]
    py_test(
        name = name,
        srcs = [src, _RUNNER],
        main = _RUNNER,
        args = plugins + ["-m", "'not slow and not measures'"] + args + ["$(rootpath %s)" % src],
        deps = deps + [
            "@pypi//hypothesis",
            "@pypi//pytest",
            "@pypi//pytest_timeout",
        ],
        **kwargs
    )

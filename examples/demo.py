"""The tour of `colugo demo`, for those who start it with `bazel run //examples:demo`."""

from colugo.cli.main import main

main(["demo"])

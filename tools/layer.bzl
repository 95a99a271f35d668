"""Layers of the package: what may be imported is what is declared, and a test holds it to that."""

load("@rules_python//python:defs.bzl", "py_library", "py_test")

_IMPORTER = "//tools:import_modules.py"

def _module(src):
    parts = (native.package_name() + "/" + src[:-len(".py")]).split("/")
    if parts[-1] == "__init__":
        parts.pop()
    return ".".join(parts)

def layer(name, srcs, deps = [], **kwargs):
    """A py_library, with a test that imports each of its modules with only `deps` in reach.

    Args:
      name: the library's name; the test is called `<name>_imports_test`.
      srcs: its Python files.
      deps: lower layers and packages that it may import.
      **kwargs: passed to py_library.
    """
    py_library(
        name = name,
        srcs = srcs,
        deps = deps,
        **kwargs
    )
    py_test(
        name = name + "_imports_test",
        size = "small",
        srcs = [_IMPORTER],
        args = [_module(src) for src in srcs],
        main = _IMPORTER,
        deps = [":" + name],
    )

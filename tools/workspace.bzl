"""Repositories for a Bazel without bzlmod (Debian's 4.2.3), declared without fetching any rules.

They have the names and labels that MODULE.bazel gives to a modern Bazel, so that one set of BUILD
files serves both: `@rules_python//python:defs.bzl`, and `@pypi//<package>` for what pip installs.
"""

# Repositories that Bazel's own tools load their rules from; here the native rules stand in.
_NATIVE_RULES = {
    "rules_cc": ("cc", ["cc_binary", "cc_import", "cc_library", "cc_test", "cc_toolchain", "cc_toolchain_suite"]),
    "rules_java": ("java", ["java_binary", "java_import", "java_library", "java_runtime", "java_test", "java_toolchain"]),
    "rules_proto": ("proto", ["proto_lang_toolchain", "proto_library"]),
}

# Without legacy_create_init = 0 Bazel would make the workspace folder, which is also called colugo, a
# package that hides the real one.
_PYTHON_DEFS = """
def py_binary(**kwargs):
    kwargs.setdefault("legacy_create_init", 0)
    native.py_binary(**kwargs)

def py_test(**kwargs):
    kwargs.setdefault("legacy_create_init", 0)
    native.py_test(**kwargs)

py_library = native.py_library
py_runtime = native.py_runtime
"""

def _files_impl(repository_ctx):
    for path, content in repository_ctx.attr.files.items():
        repository_ctx.file(path, content, executable = False)

_files_repository = repository_rule(
    doc = "A repository of the given files.",
    implementation = _files_impl,
    attrs = {"files": attr.string_dict(doc = "Contents by path.")},
)

def _find_python(repository_ctx):
    """Returns the interpreter behind the first python3 on PATH, seen through wrappers such as pyenv's."""
    command = repository_ctx.which("python3")
    if not command:
        fail("There is no python3 on PATH; colugo needs Python 3.11 or newer.")
    result = repository_ctx.execute([
        command,
        "-c",
        "import sys; print(sys.executable); sys.exit(sys.version_info < (3, 11))",
    ])
    if result.return_code:
        fail("%s is not a working Python 3.11 or newer. %s" % (command, result.stderr))
    return result.stdout.strip()

def _normalized(name):
    return name.lower().replace("-", "_").replace(".", "_")

_PIP_BUILD = """
package(default_visibility = ["//visibility:public"])

py_library(
    name = "packages",
    srcs = glob(["site/**/*.py"], exclude = ["site/**/* *"]),
    data = glob(["site/**/*"], exclude = ["site/**/*.py", "site/**/*.pyc", "site/**/* *", "site/bin/**"]),
    imports = ["site"],
)
"""

_PIP_PACKAGE_BUILD = """
alias(
    name = "{name}",
    actual = "//:packages",
    visibility = ["//visibility:public"],
)
"""

def _pip_impl(repository_ctx):
    requirements = repository_ctx.path(repository_ctx.attr.requirements)
    python = _find_python(repository_ctx)
    if repository_ctx.execute([python, "-m", "pip", "--version"]).return_code:
        fail("%s has no pip; on Debian: apt-get install python3-pip" % python)
    repository_ctx.report_progress("pip install -r %s" % requirements)
    result = repository_ctx.execute(
        [
            python,
            "-m",
            "pip",
            "install",
            "--no-input",
            "--no-compile",
            "--only-binary=:all:",
            "--target=site",
            "--requirement=%s" % requirements,
        ],
        timeout = 900,
    )
    if result.return_code:
        fail("pip install failed:\n" + result.stdout + result.stderr)
    repository_ctx.file("BUILD", _PIP_BUILD)
    for entry in repository_ctx.path("site").readdir():
        if entry.basename.endswith(".dist-info"):
            name = _normalized(entry.basename.split("-")[0])
            repository_ctx.file(name + "/BUILD", _PIP_PACKAGE_BUILD.format(name = name))

# PATH is not in `environ`: pip would run again with each new terminal.
_pip_repository = repository_rule(
    doc = "All locked packages, installed by pip in one folder, with an alias for each.",
    implementation = _pip_impl,
    attrs = {"requirements": attr.label(
        doc = "The lock file.",
        mandatory = True,
        allow_single_file = True,
    )},
    environ = ["PIP_CERT", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_INDEX_URL"],
)

_PYTHON_BUILD = """
load("@bazel_tools//tools/python:toolchain.bzl", "py_runtime_pair")

py_runtime(
    name = "runtime",
    interpreter_path = "{python}",
    python_version = "PY3",
    stub_shebang = "#!{python}",
)

py_runtime_pair(
    name = "runtime_pair",
    py3_runtime = ":runtime",
)

toolchain(
    name = "toolchain",
    toolchain = ":runtime_pair",
    toolchain_type = "@bazel_tools//tools/python:toolchain_type",
)
"""

def _python_impl(repository_ctx):
    repository_ctx.file("BUILD", _PYTHON_BUILD.format(python = _find_python(repository_ctx)))

_python_repository = repository_rule(
    doc = "The machine's Python as a toolchain.",
    implementation = _python_impl,
    local = True,
)

# There is one workspace, so nothing to name.
# buildifier: disable=unnamed-macro
def colugo_workspace():
    """Declares for WORKSPACE what MODULE.bazel declares for a modern Bazel."""
    _python_repository(name = "colugo_python")
    native.register_toolchains("@colugo_python//:toolchain")
    for name, (package, rules) in _NATIVE_RULES.items():
        _files_repository(name = name, files = {
            package + "/BUILD": "",
            package + "/defs.bzl": "\n".join(["%s = native.%s" % (rule, rule) for rule in rules]) + "\n",
        })
    _files_repository(name = "rules_python", files = {
        "python/BUILD": "",
        "python/defs.bzl": _PYTHON_DEFS,
    })

    # Every test depends on it by default, measured or not.
    _files_repository(name = "remote_coverage_tools", files = {
        "BUILD": 'filegroup(name = "coverage_report_generator", visibility = ["//visibility:public"])\n',
    })
    _pip_repository(name = "pypi", requirements = "//:requirements_lock.txt")

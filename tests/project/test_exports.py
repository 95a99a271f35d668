"""The public names of `colugo`, and the contents of the wheel."""

import builtins
import importlib
import importlib.util
import inspect
import os
import re
import subprocess
import sys
import tomllib
import types
import typing
import zipfile
from pathlib import Path
from typing import Any

import pytest

import colugo
from colugo import dispatcher, distributor, errors
from colugo.py.node import Node as OriginalNode
from tests.support.docstrings import entries, findings, plain_function, public_members
from tests.support.essentials import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXPORTED = {name: getattr(colugo, name) for name in colugo.__all__ if name != "__version__"}
CLASSES = {name: thing for name, thing in EXPORTED.items() if inspect.isclass(thing)}


# --- names


def test_the_exported_names_are_sorted_and_each_is_there_once() -> None:
    assert colugo.__all__ == sorted(set(colugo.__all__))


def test_every_exported_name_can_be_imported() -> None:
    namespace: dict[str, Any] = {}
    exec("from colugo import *", namespace)  # what is tested is this very statement
    assert set(colugo.__all__) <= set(namespace)


def test_what_is_public_in_the_package_is_exported() -> None:
    public = {
        name
        for name, value in vars(colugo).items()
        if not name.startswith("_") and not isinstance(value, types.ModuleType)
    }
    assert public == set(colugo.__all__) - {"__version__"}


def test_the_version_is_that_of_the_project() -> None:
    assert colugo.__version__ == PROJECT["version"]


def test_the_import_path_of_the_original_gives_the_same_node() -> None:
    assert OriginalNode is colugo.Node
    assert importlib.import_module("colugo.py.node").__all__ == ["Node"]


# --- completeness


def members() -> list[tuple[str, Any]]:
    """All public methods and properties of the exported classes."""
    return [
        (f"{name}.{member_name}", member)
        for name, kind in CLASSES.items()
        for member_name, member in public_members(kind)
    ]


def documented_errors() -> set[str]:
    """The exceptions that the docstrings of the exported classes speak of."""
    texts = [kind.__doc__ for kind in CLASSES.values()] + [member.__doc__ for _, member in members()]
    return {name for text in texts if text for name in entries(text, "Raises")}


def test_every_documented_exception_can_be_caught_by_an_exported_name() -> None:
    assert len(documented_errors()) > 5
    unknown = {name for name in documented_errors() if name not in EXPORTED and not hasattr(builtins, name)}
    assert unknown == set()


def test_every_exported_exception_is_a_colugo_error() -> None:
    kinds = [kind for kind in CLASSES.values() if issubclass(kind, BaseException)]
    assert len(kinds) > 10
    assert all(issubclass(kind, colugo.ColugoError) for kind in kinds)


def returned_classes(member: Any) -> set[type]:
    """The classes of colugo that a method or property says it returns."""
    function = member.fget if isinstance(member, property) else plain_function(member)
    if function is None:
        return set()
    found: set[type] = set()
    waiting = [typing.get_type_hints(function).get("return")]
    while waiting:
        hint = waiting.pop()
        waiting += typing.get_args(hint)
        if isinstance(hint, type) and hint.__module__.startswith("colugo"):
            found.add(hint)
    return found


def test_every_class_that_the_exported_ones_return_is_exported() -> None:
    exported = set(CLASSES.values())
    missing = {name: kinds for name, member in members() if (kinds := returned_classes(member) - exported)}
    assert missing == {}


# --- errors


def test_the_tree_of_errors_is_drawn_as_it_is() -> None:
    assert errors.__doc__ is not None
    drawn = re.findall(
        r"^([│ ]*(?:[├└]── )|(?=ColugoError))([A-Z]\w+)\b(?: \((\w+)\))?", errors.__doc__, re.MULTILINE
    )
    path: list[str] = []
    seen = set()
    for branch, name, builtin in drawn:
        depth = len(branch) // 4
        path[depth:] = [name]
        bases = {base.__name__ for base in getattr(errors, name).__bases__}
        assert bases == {path[depth - 1] if depth else "Exception", *([builtin] if builtin else [])}
        seen.add(name)
    defined = {kind.__name__ for kind in vars(errors).values() if inspect.isclass(kind)}
    assert seen == defined


def test_the_short_names_are_the_same_classes() -> None:
    assert colugo.PeerLost is colugo.PeerLostError
    assert colugo.RequestTimeout is colugo.RequestTimeoutError


# --- docstrings


@pytest.mark.parametrize("name", EXPORTED)
def test_an_exported_name_has_docstrings_with_all_arguments(name: str) -> None:
    assert list(findings(name, EXPORTED[name])) == []


class Documented:
    """Does something.

    Args:
        first: a value.
        second: another one, which is told
            at length: in two lines.
    """

    def __init__(self, first: int, second: int) -> None:
        self.first = first

    def good(self, first: int, *args: int, **options: int) -> None:
        """Do it: in this way.

        Args:
            first: a value.
            *args: more.
            **options: even more.

        Raises:
            ValueError: never.
        """

    @property
    def bare(self) -> int:
        return 0

    def missing(self, first: int, *, second: int) -> None:
        """Do it.

        Args:
            first: a value.
            third: is none.
        """

    @classmethod
    def nothing(cls) -> None: ...


class Constructed:
    """Has a constructor that nobody describes."""

    def __init__(self, first: int) -> None:
        self.first = first


def test_the_checker_finds_what_is_missing() -> None:
    assert list(findings("D", Documented)) == [
        "D.bare has no docstring",
        "D.missing: the argument second is not described",
        "D.missing: describes third, which is no argument",
        "D.nothing has no docstring",
    ]
    assert list(findings("C", Constructed)) == ["C: the argument first is not described"]
    assert entries(Documented.good.__doc__ or "", "Raises") == ["ValueError"]
    assert entries(Documented.good.__doc__ or "", "Args") == ["first", "args", "options"]


# --- packages with names of their own

PACKAGES = [dispatcher, distributor]


@pytest.mark.parametrize(
    ("package", "name"), [(package, name) for package in PACKAGES for name in package.__all__]
)
def test_an_exported_name_of_a_package_has_docstrings_with_all_arguments(
    package: types.ModuleType, name: str
) -> None:
    assert list(findings(name, getattr(package, name))) == []


@pytest.mark.parametrize("package", PACKAGES)
def test_the_names_of_a_package_are_sorted_and_hold_what_its_methods_return(
    package: types.ModuleType,
) -> None:
    assert package.__all__ == sorted(set(package.__all__))
    kinds = {getattr(package, name) for name in package.__all__}
    for kind in filter(inspect.isclass, kinds):
        for _, member in public_members(kind):
            assert returned_classes(member) <= kinds | {colugo.Node}


# --- the wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this tree; its build fetches hatchling where that is not installed."""
    folder = tmp_path_factory.mktemp("wheel")
    isolation = ["--no-isolation"] if importlib.util.find_spec("hatchling") else []
    command = [sys.executable, "-m", "build", "--wheel", *isolation, "--outdir", str(folder), str(ROOT)]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    (built,) = folder.glob("*.whl")
    return built


def run_with(wheel: Path, code: str) -> str:
    """Run code with the wheel before everything else on the path."""
    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=wheel.parent,
        env=os.environ | {"PYTHONPATH": str(wheel)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_wheel_installs_the_package_and_nothing_else(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    info = f"colugo-{colugo.__version__}.dist-info"
    assert {name.split("/")[0] for name in names} == {"colugo", info}
    sources = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "colugo").rglob("*")
        if path.suffix in (".py", ".typed")
    }
    assert {name for name in names if name.startswith("colugo/")} == sources
    assert "colugo/py.typed" in names
    assert f"{info}/licenses/LICENSE" in names


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_wheel_can_be_imported_and_its_entry_points_are_there(wheel: Path) -> None:
    code = """
import colugo
from importlib.metadata import distribution

print(colugo.__file__)
for entry in distribution("colugo").entry_points:
    entry.load()
    print(entry.group, entry.name)
"""
    lines = run_with(wheel, code).splitlines()
    assert lines[0].startswith(str(wheel))
    assert sorted(lines[1:]) == ["console_scripts colugo", "pytest11 colugo"]

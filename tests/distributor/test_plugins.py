"""Plugin directories: what is found in them, what is reported, and what is loaded again."""

import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from colugo import ConfigurationError
from colugo.distributor import AbstractDistributionTarget, LoggingMixin
from colugo.distributor.configuration.catalog import Catalog
from colugo.distributor.configuration.values import KeyPath
from colugo.distributor.plugins.plugin_directory import PluginDirectory

TARGET = """
from colugo.distributor import ThreadedDistributionTarget

class Sent(ThreadedDistributionTarget):
    def process(self, message):
        print(message)

def create_NAME_target():
    return Sent()
"""
Open = Callable[..., PluginDirectory]


def target(name: str) -> str:
    return TARGET.replace("NAME", name)


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Open]:
    """Write files into a directory, and load its plugins."""
    directories: list[PluginDirectory] = []

    def load(files: dict[str, str], name: str = "targets") -> PluginDirectory:
        write(tmp_path / name, files)
        directory = PluginDirectory(tmp_path / name)
        directories.append(directory)
        directory.refresh()
        return directory

    yield load
    for directory in directories:
        directory.close()


def names(directory: PluginDirectory) -> set[str]:
    return {f"{kind} {name}" for kind, name in directory.factories}


def refreshed(directory: PluginDirectory) -> tuple[set[str], set[str], set[str]]:
    """Return the names of what a refresh adds, changes and removes."""
    old = directory.factories
    directory.refresh()
    new = directory.factories
    changed = {key for key in old.keys() & new.keys() if old[key].make is not new[key].make}
    added, removed = new.keys() - old.keys(), old.keys() - new.keys()
    return {name for _, name in added}, {name for _, name in changed}, {name for _, name in removed}


def make(directory: PluginDirectory, name: str) -> AbstractDistributionTarget:
    made = directory.factories["target", name].make()
    assert isinstance(made, AbstractDistributionTarget)
    return made


# --- what is found


def test_the_functions_of_all_modules_are_found(opened: Open) -> None:
    directory = opened(
        {
            "one.py": target("one") + target("two") + "def create_feed_source(url): ...\n",
            "three.py": target("three") + "create_nothing_target = None\ndef make_target(): ...\n",
            ".hidden.py": "raise RuntimeError",
            "notes.txt": "create_text_target",
        }
    )
    assert names(directory) == {"target one", "target two", "source feed", "target three"}
    assert directory.factories["source", "feed"].required == ["url"]
    assert directory.factories["target", "one"].origin == "targets/one.py"
    assert directory.problems == {}


def test_a_package_with_relative_imports_loads_and_a_re_exported_factory_counts_once(opened: Open) -> None:
    console = """
from colugo.distributor import LoggingMixin
from .base import ThreadedBase

class ConsoleTarget(ThreadedBase, LoggingMixin):
    def process(self, message):
        print(message)

def create_console_target():
    return ConsoleTarget()
"""
    directory = opened(
        {
            "__init__.py": "from .console import create_console_target\n__all__ = ['create_console_target']",
            "base.py": "from colugo.distributor import ThreadedDistributionTarget\n"
            "class ThreadedBase(ThreadedDistributionTarget): ...",
            "console.py": console,
        }
    )
    assert names(directory) == {"target console"}
    made = make(directory, "console")
    assert isinstance(made, LoggingMixin)
    assert type(made).__mro__[1].__module__.endswith(".base")


def test_a_factory_of_a_subpackage_counts_where_it_is_imported(opened: Open) -> None:
    directory = opened(
        {
            "__init__.py": "from .deep.inner import create_inner_target",
            "deep/__init__.py": "",
            "deep/inner.py": target("inner"),
        }
    )
    assert names(directory) == {"target inner"}


@pytest.mark.parametrize(
    "statement",
    [
        "from .base import Base",
        "from . import base; Base = base.Base",
        "from .inner.deep import Base",
        "from .inner import deep; Base = deep.Base",
    ],
)
def test_a_module_may_import_its_neighbours(opened: Open, statement: str) -> None:
    base = "from colugo.distributor import ThreadedDistributionTarget as Base"
    inner = {"inner/__init__.py": "", "inner/deep.py": base}
    text = f"{statement}\nclass It(Base):\n    def process(self, message): ...\n"
    directory = opened({"base.py": base, "it.py": f"{text}def create_it_target(): return It()", **inner})
    assert names(directory) == {"target it"}
    assert make(directory, "it") is not None
    assert "base" not in sys.modules
    assert "targets" not in sys.modules


def test_modules_hide_no_others_and_directories_do_not_meet(opened: Open) -> None:
    text = "import json\nfrom . import base\ndef create_NAME_target(): return json.dumps(base.WORD)"
    one = opened({"json.py": text.replace("NAME", "one"), "base.py": "WORD = 1"}, "a/targets")
    two = opened({"json.py": text.replace("NAME", "two"), "base.py": "WORD = 2"}, "b/targets")
    assert one.factories["target", "one"].make() == "1"
    assert two.factories["target", "two"].make() == "2"


def test_a_closed_directory_leaves_nothing_behind(opened: Open) -> None:
    before, finders = set(sys.modules), list(sys.meta_path)
    directory = opened({"one.py": target("one")})
    directory.close()
    assert set(sys.modules) == before
    assert sys.meta_path == finders


# --- what is reported


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("def broken(:\n", ["broken.py", "SyntaxError", "line 1"]),
        ("x = 1\nx / 0\n", ["broken.py", "ZeroDivisionError", "line 2"]),
        ("import no_such_module\n", ["broken.py", "No module named 'no_such_module'"]),
        ("from .gone import x\n", ["broken.py", "gone'"]),
        ("raise SystemExit(3)\n", ["broken.py", "SystemExit: 3"]),
        ("x = '\0'\n", ["broken.py", "null bytes"]),
    ],
)
def test_a_broken_file_is_reported_with_its_traceback_and_the_others_load(
    opened: Open, caplog: pytest.LogCaptureFixture, text: str, words: list[str]
) -> None:
    directory = opened({"broken.py": text, "one.py": target("one"), "two.py": target("two")})
    assert names(directory) == {"target one", "target two"}
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    for word in words:
        assert word in record.getMessage()
    assert "importlib" not in record.getMessage()
    directory.refresh()
    assert len(caplog.records) == 1


def test_a_broken_package_file_does_not_keep_the_modules_from_loading(
    opened: Open, caplog: pytest.LogCaptureFixture
) -> None:
    directory = opened(
        {"__init__.py": "1 / 0", "one.py": "from . import base\n" + target("one"), "base.py": ""}
    )
    assert names(directory) == {"target one"}
    assert "ZeroDivisionError" in caplog.text


def test_of_two_plugins_of_one_name_neither_is_loaded_and_the_error_names_both_files(
    opened: Open, caplog: pytest.LogCaptureFixture
) -> None:
    directory = opened({"one.py": target("same"), "two.py": target("same") + target("other")})
    assert names(directory) == {"target other"}
    assert "create_same_target" in caplog.text
    assert str(directory.path / "one.py") in caplog.text
    assert str(directory.path / "two.py") in caplog.text
    (directory.path / "one.py").unlink()
    assert refreshed(directory) == ({"same"}, set(), set())


def test_a_directory_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"plugin directory '.*nowhere' does not exist"):
        PluginDirectory(tmp_path / "nowhere")


# --- what is loaded again


def test_only_a_changed_file_and_what_imports_it_are_loaded_again(opened: Open) -> None:
    plugin = "from .base import WORD\ndef create_NAME_target(): return WORD"
    directory = opened(
        {"base.py": "WORD = 1", "one.py": plugin.replace("NAME", "one"), "two.py": target("two")}
    )
    two = directory.factories["target", "two"].make
    write(directory.path, {"base.py": "WORD = 2"})  # of the same size, within the same second
    assert refreshed(directory) == (set(), {"one"}, set())
    assert directory.factories["target", "one"].make() == 2
    assert directory.factories["target", "two"].make is two
    assert refreshed(directory) == (set(), set(), set())


def test_in_a_package_the_other_modules_are_not_loaded_again(opened: Open) -> None:
    directory = opened(
        {
            "__init__.py": "from .one import create_one_target\nfrom .two import create_two_target",
            "one.py": "from . import base\n" + target("one"),
            "two.py": "from . import base\n" + target("two"),
            "base.py": "",
        }
    )
    write(directory.path, {"one.py": "from . import base\n" + target("one") + "x = 1"})
    assert refreshed(directory) == (set(), {"one"}, set())
    write(directory.path, {"base.py": "x = 1"})
    assert refreshed(directory) == (set(), {"one", "two"}, set())


def test_files_are_added_and_removed(opened: Open) -> None:
    directory = opened({"one.py": target("one")})
    write(directory.path, {"two.py": target("two")})
    assert refreshed(directory) == ({"two"}, set(), set())
    (directory.path / "one.py").unlink()
    assert refreshed(directory) == (set(), set(), {"one"})
    assert names(directory) == {"target two"}


def test_of_a_file_that_breaks_the_old_version_stays(opened: Open, caplog: pytest.LogCaptureFixture) -> None:
    directory = opened({"base.py": "WORD = 1", "one.py": "from .base import WORD\n" + target("one")})
    old = directory.factories["target", "one"].make
    write(directory.path, {"base.py": "WORD ="})
    directory.refresh()
    assert directory.factories["target", "one"].make is old
    assert len(caplog.records) == 1
    write(directory.path, {"other.py": target("other")})
    assert refreshed(directory) == ({"other"}, set(), set())
    assert len(caplog.records) == 1
    write(directory.path, {"base.py": "WORD = 2"})
    assert refreshed(directory) == (set(), {"one"}, set())
    assert directory.problems == {}


def test_a_module_that_lacked_its_neighbour_is_loaded_when_that_comes(opened: Open) -> None:
    directory = opened({"one.py": "from . import base\n" + target("one")})
    assert names(directory) == set()
    write(directory.path, {"base.py": ""})
    assert refreshed(directory) == ({"one"}, set(), set())


# --- entry points


def test_entry_points_are_types_and_a_broken_one_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    write(
        tmp_path,
        {
            "colugo_extras.py": target("mine"),
            "colugo_extras-1.0.dist-info/METADATA": "Name: colugo-extras\nVersion: 1.0\n",
            "colugo_extras-1.0.dist-info/entry_points.txt": "[colugo.targets]\n"
            "mine = colugo_extras:create_mine_target\nbroken = colugo_extras:nothing\n",
        },
    )
    monkeypatch.syspath_prepend(tmp_path)
    found = {one.name: one for one in Catalog().all("target")}
    assert found["mine"].origin == "colugo-extras"
    assert isinstance(found["mine"].make(), AbstractDistributionTarget)
    assert "broken" not in found
    assert "the target type broken of colugo-extras cannot be loaded" in caplog.text
    place = KeyPath("alerts.toml", "targets.x.type")
    assert Catalog().find("target", "mine", place).origin == "colugo-extras"
    with pytest.raises(ConfigurationError, match=r"alerts.toml: targets.x.type: .*'broken' of colugo-extras"):
        Catalog().find("target", "broken", place)
    with pytest.raises(ConfigurationError, match=r"unknown type of target 'mime'; did you mean 'mine'\?"):
        Catalog().find("target", "mime", place)

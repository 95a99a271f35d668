"""The sources and targets that the modules of a directory define."""

import importlib
import logging
import re
import traceback
from contextlib import suppress
from pathlib import Path

from colugo.distributor.plugins import module_folder
from colugo.distributor.plugins.factory import Factory, Kind
from colugo.distributor.plugins.module_folder import ModuleFolder
from colugo.errors import ConfigurationError

_LOGGER = logging.getLogger(__name__)
_FACTORY = re.compile(r"create_(\w+)_(?:(source)|target)")
Key = tuple[Kind, str]
_Stamp = tuple[int, int, int]


class PluginDirectory:
    """The functions `create_<name>_source` and `create_<name>_target` in the modules of a directory.

    The directory may be a package. A module that raises is reported in the log with its traceback; the others
    are loaded. If two modules define one name, the log names both: a plugin that is loaded already stays,
    otherwise neither is used.

    Args:
        path: the directory.

    Raises:
        ConfigurationError: if it is not a directory.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).resolve()
        if not self.path.is_dir():
            raise ConfigurationError(f"the plugin directory {str(path)!r} does not exist")
        self.factories: dict[Key, Factory] = {}
        """The factories by kind and name."""
        self.problems: dict[str, str] = {}
        """The errors of the last load, by file or name."""
        self._folder = ModuleFolder(self.path)
        self._files: set[Path] = set()
        self._stamps: dict[Path, _Stamp] = {}
        self._broken: dict[str, str] = {}

    def close(self) -> None:
        """Forget all modules."""
        self._folder.close()

    def refresh(self) -> None:
        """Load what is new, and load again the modules whose files have changed and those that import them.

        If a module cannot be loaded, its last version stays. The first call loads everything. You may call it
        on any thread, but not on two at a time.
        """
        before, self._stamps = self._stamps, self._read_stamps()
        files = {one for one in before | self._stamps if before.get(one) != self._stamps.get(one)}
        if files or not self._folder.loaded():
            self._reload({self._folder.name_of(one) for one in files})
        problems = {name: text for name, text in self._broken.items() if text}
        self.factories = self._collect(problems)
        for name, text in problems.items():
            if self.problems.get(name) != text:
                _LOGGER.error("%s", text)
        self.problems = problems

    def _top(self) -> dict[str, Path]:
        """Return the files that may define plugins, by the names of their modules, `__init__.py` first."""
        files = sorted(self.path.glob("*.py"), key=lambda file: (file.name != "__init__.py", file))
        return {self._folder.name_of(file): file for file in files if not file.name.startswith(".")}

    def _read_stamps(self) -> dict[Path, _Stamp]:
        self._files.update(self._top().values())
        self._files.update(Path(one.__file__) for one in self._folder.loaded().values() if one.__file__)
        stamps: dict[Path, _Stamp] = {}
        for file in self._files:
            with suppress(OSError):  # removed
                stat = file.stat()
                stamps[file] = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
        return stamps

    def _reload(self, changed: set[str]) -> None:
        """Load some modules again, the broken ones, and all that import them."""
        folder, top = self._folder, self._top()
        top.setdefault(folder.package, self.path)
        wanted = folder.with_dependents(changed | self._broken.keys())
        if not folder.loaded():
            wanted.append(folder.package)
        wanted.sort(key=lambda name: name != folder.package)  # the others are imported from it
        old = {name: folder.unload(name) for name in wanted}
        self._broken = {}
        for name in wanted:
            if name not in top or name in folder.loaded():
                continue
            text = ""
            if not folder.imports_of(name) & self._broken.keys():
                try:
                    folder.load(name)
                    continue
                except (Exception, SystemExit) as error:  # noqa: BLE001 - reported
                    text = _text(top[name], error)
            self._broken[name] = text
            module = old[name]
            if module is not None:
                folder.restore(name, module)

    def _collect(self, problems: dict[str, str]) -> dict[Key, Factory]:
        found: dict[Key, list[Factory]] = {}
        loaded, top = self._folder.loaded(), self._top()
        for name, file in top.items():
            for attribute, value in list(vars(loaded[name]).items()) if name in loaded else ():
                match = _FACTORY.fullmatch(attribute)
                home = getattr(value, "__module__", name)
                if match is None or not callable(value) or (home != name and home in top):
                    continue  # a factory counts where it is defined
                kind: Kind = "source" if match[2] else "target"
                origin = str(file.relative_to(self.path.parent))
                made = Factory(kind=kind, name=match[1], make=value, origin=origin, file=str(file))
                others = found.setdefault((kind, made.name), [])
                if all(one.make is not value for one in others):
                    others.append(made)
        return {key: one for key, each in found.items() if (one := self._choose(key, each, problems))}

    def _choose(self, key: Key, found: list[Factory], problems: dict[str, str]) -> Factory | None:
        if len(found) == 1:
            return found[0]
        kind, name = key
        files = " and ".join(one.file for one in found)
        text = f"create_{name}_{kind} is defined twice, in {files}: rename one of them"
        problems[f"{kind} {name}"] = text
        current = self.factories.get(key)
        return next((one for one in found if current is not None and one.file == current.file), None)


def _text(file: Path, error: BaseException) -> str:
    """Return a traceback, without the steps of the import system."""
    trace = traceback.TracebackException.from_exception(error)
    ours = ("<frozen importlib", str(importlib.__file__), __file__, module_folder.__file__)
    steps = [step for step in trace.stack if not step.filename.startswith(ours)]
    trace.stack = traceback.StackSummary.from_list(steps)
    return f"the plugin file {file} cannot be loaded:\n{''.join(trace.format()).rstrip()}"

"""The modules of a directory, imported under names that no other module has."""

import builtins
import importlib
import sys
from collections.abc import Mapping, Sequence
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import module_from_spec, resolve_name, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

_INIT = "__init__.py"


class ModuleFolder:
    """Imports the modules of a directory as those of a package of its own.

    A directory `targets` becomes `colugo_plugins_targets`, so that its `json.py` hides no other `json`.
    Relative imports work, also without an `__init__.py`. If no other module has the name, `import base` finds
    the neighbour `base.py`, and `from targets.base import X` works, as at the end of `sys.path`.

    Args:
        path: the directory.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.package = _free_name(f"colugo_plugins_{path.name}")
        self._imports: dict[str, set[str]] = {}
        sys.meta_path.insert(0, self)

    def close(self) -> None:
        """Forget all modules."""
        if self in sys.meta_path:
            sys.meta_path.remove(self)
        for name in self.loaded():
            del sys.modules[name]

    def loaded(self) -> dict[str, ModuleType]:
        """Return the modules by their full names, with the package itself."""
        return {name: module for name, module in sys.modules.copy().items() if self._has(name)}

    def name_of(self, file: Path) -> str:
        """Return the full name of the module of a file in the directory."""
        return self.package if file.name == _INIT else f"{self.package}.{file.stem}"

    def load(self, name: str) -> None:
        """Import a module that is not loaded.

        Args:
            name: its full name.

        Raises:
            Exception: if it cannot be imported.
        """
        if name != self.package:
            importlib.import_module(name)
            return
        # By hand: the package stays even if its __init__.py raises, since the others are imported from it.
        init = self.path / _INIT
        spec = self._spec(name, init) if init.is_file() else ModuleSpec(name, None, is_package=True)
        spec.submodule_search_locations = [str(self.path)]
        module = sys.modules[name] = module_from_spec(spec)
        if init.is_file() and spec.loader is not None:
            spec.loader.exec_module(module)

    def unload(self, name: str) -> ModuleType | None:
        """Forget a module, so that the next import runs its file; return it."""
        parent, _, last = name.rpartition(".")
        if parent in sys.modules:
            vars(sys.modules[parent]).pop(last, None)  # `from . import x` looks there first
        return sys.modules.pop(name, None)

    def restore(self, name: str, module: ModuleType) -> None:
        """Put a module back that `unload` has returned."""
        sys.modules[name] = module
        parent, _, last = name.rpartition(".")
        if parent in sys.modules:
            setattr(sys.modules[parent], last, module)

    def with_dependents(self, names: set[str]) -> list[str]:
        """Return some modules, then those that import them, directly or not."""
        found = sorted(names)
        for name in found:
            found += sorted(one for one, used in self._imports.items() if name in used and one not in found)
        return found

    def imports_of(self, name: str) -> set[str]:
        """Return the modules of the directory that a module has imported."""
        return self._imports.get(name, set())

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: ModuleType | None = None,  # noqa: ARG002 - the interface of finders
    ) -> ModuleSpec | None:
        """Find a module of the directory, for Python's import system."""
        if not self._has(fullname):
            return None
        last = fullname.rpartition(".")[2]
        for folder in map(Path, path or ()):
            for file in (folder / last / _INIT, folder / f"{last}.py"):
                if file.is_file():
                    return self._spec(fullname, file)
        return None

    def _spec(self, name: str, file: Path) -> ModuleSpec:
        places = [str(file.parent)] if file.name == _INIT else None
        loader = _Loader(name, str(file), self._imports, self._import)
        spec = spec_from_file_location(name, file, loader=loader, submodule_search_locations=places)
        assert spec is not None  # there is a loader
        return spec

    def _has(self, name: str) -> bool:
        return name == self.package or name.startswith(f"{self.package}.")

    def _import(
        self,
        name: str,
        globals: Mapping[str, Any] | None = None,  # noqa: A002 - the names of __import__
        locals: Mapping[str, Any] | None = None,  # noqa: A002
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        """Import something for a module of the directory, as its `__import__`."""
        namespace, wanted = globals or {}, fromlist or ()
        full = resolve_name("." * level + name, namespace.get("__package__")) if level else name
        self._note(namespace, full, wanted)
        try:
            return builtins.__import__(name, globals, locals, wanted, level)
        except ModuleNotFoundError as error:
            head, _, rest = name.partition(".")
            if level or error.name != head:
                raise
            if head == self.path.name:  # `import targets.base` gives `targets`
                ours, top = f"{self.package}.{rest}".rstrip("."), self.package
            elif self._is_module(head):
                ours, top = f"{self.package}.{name}", f"{self.package}.{head}"
            else:
                raise
        self._note(namespace, ours, wanted)
        module = builtins.__import__(ours, globals, locals, wanted)
        return module if wanted else sys.modules[top]

    def _is_module(self, name: str) -> bool:
        return (self.path / f"{name}.py").is_file() or (self.path / name / _INIT).is_file()

    def _note(self, namespace: Mapping[str, Any], imported: str, wanted: Sequence[str]) -> None:
        """Note which modules a module imports; some of the names may be no modules."""
        if not self._has(imported):
            return
        used = self._imports.setdefault(namespace["__name__"], set())
        used.update(f"{imported}.{one}" for one in wanted)
        # `from . import base` needs base only, not all that __init__.py imports
        if imported != self.package or not wanted or not all(map(self._is_module, wanted)):
            used.add(imported)


class _Loader(SourceFileLoader):
    """A loader that gives its module another `__import__`."""

    def __init__(self, name: str, path: str, imports: dict[str, set[str]], import_function: Any) -> None:
        super().__init__(name, path)
        self._imports = imports
        self._import_function = import_function

    def path_stats(self, path: str) -> Mapping[str, Any]:
        """Refuse, so that no cached bytecode is used: that of the same second and size would count as new."""
        raise OSError(path)

    def exec_module(self, module: ModuleType) -> None:
        """Run the module."""
        self._imports.pop(module.__name__, None)
        vars(module)["__builtins__"] = vars(builtins) | {"__import__": self._import_function}
        super().exec_module(module)


def _free_name(wanted: str) -> str:
    name, number = wanted, 1
    while name in sys.modules:
        number += 1
        name = f"{wanted}_{number}"
    return name

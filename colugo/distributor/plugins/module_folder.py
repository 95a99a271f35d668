"""The modules of a directory, imported under names that no other module has."""

import ast
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

    A directory `targets` becomes `colugo_plugins_targets`, so that its `json.py` hides no other `json`. The
    modules may import each other relatively, also without an `__init__.py`.
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
        """Return the full name of the module of a file."""
        parts = file.relative_to(self.path).with_suffix("").parts
        return ".".join((self.package, *parts)).removesuffix(".__init__")

    def load(self, name: str) -> None:
        """Import a module that is not loaded, by its full name; what it raises is raised."""
        if name != self.package:
            importlib.import_module(name)
            return
        # By hand: the package stays even if its __init__.py raises, since the others are imported from it.
        init = self.path / _INIT
        spec = self._spec(name, init) if init.is_file() else ModuleSpec(name, None, is_package=True)
        spec.submodule_search_locations = [str(self.path)]
        module = sys.modules[name] = module_from_spec(spec)
        if spec.loader is not None:
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
        """Return what a module imports relatively; some of the names may be no modules."""
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
        is_package = file.name == _INIT
        self._imports[name] = _imported(file, name if is_package else name.rpartition(".")[0])
        places = [str(file.parent)] if is_package else None
        spec = spec_from_file_location(
            name, file, loader=_Loader(name, str(file)), submodule_search_locations=places
        )
        assert spec is not None  # there is a loader
        return spec

    def _has(self, name: str) -> bool:
        return name == self.package or name.startswith(f"{self.package}.")


class _Loader(SourceFileLoader):
    def path_stats(self, path: str) -> Mapping[str, Any]:
        """Refuse, so that no cached bytecode is used: that of the same second and size would count as new."""
        raise OSError(path)


def _imported(file: Path, package: str) -> set[str]:
    """Return the full names that a file of a package imports relatively."""
    found: set[str] = set()
    try:
        for node in ast.walk(ast.parse(file.read_bytes())):
            if isinstance(node, ast.ImportFrom) and node.level:
                base = resolve_name("." * node.level + (node.module or ""), package).removesuffix(".")
                found |= {f"{base}.{one.name}" for one in node.names}
                if node.module:
                    found.add(base)
    except (SyntaxError, ValueError, ImportError):  # the import itself reports it
        pass
    return found


def _free_name(wanted: str) -> str:
    name, number = wanted, 1
    while name in sys.modules:
        number += 1
        name = f"{wanted}_{number}"
    return name

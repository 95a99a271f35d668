"""The rules of the package's layers, checked by reading its imports; nothing is imported.

The table is that of docs/architecture.md. A new folder or file of the top level needs its line here.
"""

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

LAYERS = {
    "errors": 0,
    "protocol": 1,
    "net": 2,
    "store": 2,
    "patterns": 3,
    "config": 4,
    "lifecycle": 4,
    "introspection": 4,
    "node": 4,
    "diagnosis": 5,
    "dispatcher": 5,
    "distributor": 5,
    "messenger": 5,
    "py": 5,
    "recording": 5,
    "relay": 5,
    "service": 5,
    "testing": 5,
    "cli": 6,
    "web": 6,
}
FACE = 6
BUILT_ON_NODES = 5

IMPURE = frozenset(
    {
        "asyncio",
        "concurrent",
        "fcntl",
        "http",
        "logging",
        "mmap",
        "multiprocessing",
        "os",
        "pathlib",
        "queue",
        "random",
        "secrets",
        "select",
        "selectors",
        "shutil",
        "signal",
        "socket",
        "socketserver",
        "sqlite3",
        "ssl",
        "subprocess",
        "tempfile",
        "threading",
        "time",
        "tornado",
        "urllib",
        "zeroconf",
        "zmq",
    }
)
"""Sockets, files, clocks, chance, threads, loops: nothing of it has a place in protocol/."""
IMPURE_CALLS = frozenset({"open", "print", "input"})
SOCKETS_MODULE = "colugo.net.transport.sockets"
SHARED_FOLDER = "colugo.patterns.connections"
"""The one folder of patterns/ that the others may import."""
MOST_MODULES = 20
CONTEXTS = frozenset({"zmq.Context", "zmq.asyncio.Context"})

ONE_NOUN = frozenset({"base", "command", "node", "relay", "salvage"})
"""Names that several modules have for one thing: a command and what it calls, the base of a folder."""

Sources = dict[str, str]
"""Source text by module name; a package goes by its own name."""


@dataclass(frozen=True)
class Import:
    """One import statement's one target."""

    importer: str
    target: str
    line: int
    in_function: bool

    def __str__(self) -> str:
        return f"{self.importer}, line {self.line}, imports {self.target}"


def read_sources(package: Path) -> Sources:
    """The sources of a package in a folder of its name."""
    sources = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package.parent).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        sources[name] = path.read_text(encoding="utf-8")
    return sources


def is_package(module: str, sources: Sources) -> bool:
    return module == "colugo" or any(name.startswith(module + ".") for name in sources)


def targets(node: ast.Import | ast.ImportFrom, importer: str, sources: Sources) -> Iterator[str]:
    """The modules that a statement imports, those of the package by the name of their file."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield alias.name
        return
    base = node.module or ""
    if node.level:
        parts = importer.split(".")
        up = node.level - 1 if is_package(importer, sources) else node.level
        base = ".".join([*parts[: len(parts) - up], *([base] if base else [])])
    for alias in node.names:
        inner = f"{base}.{alias.name}"
        yield inner if inner in sources else base


def imports(sources: Sources) -> list[Import]:
    """Every import of every module, wherever it stands."""
    found = []
    for module, source in sources.items():
        waiting: list[tuple[ast.AST, bool]] = [(ast.parse(source), False)]
        while waiting:
            node, inside = waiting.pop()
            if isinstance(node, ast.Import | ast.ImportFrom):
                found += [
                    Import(module, target, node.lineno, inside) for target in targets(node, module, sources)
                ]
            inside = inside or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            waiting += [(child, inside) for child in ast.iter_child_nodes(node)]
    return sorted(found, key=lambda one: (one.importer, one.line))


def is_ours(module: str) -> bool:
    return module.partition(".")[0] == "colugo"


def unit(module: str) -> str:
    """The folder or file right under the package that a module belongs to; empty for the package itself."""
    return module.split(".")[1] if "." in module else ""


def layer(module: str) -> int:
    """Its number; what `import colugo` gives stands with the faces, which import it as users do."""
    return LAYERS.get(unit(module), FACE)


def pattern_modules(sources: Sources) -> set[str]:
    """The modules of patterns/ with a class that Node calls, or passes to the method that does."""
    tree = ast.parse(sources.get("colugo.node", ""))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    called = {one.id for call in calls for one in (call.func, *call.args) if isinstance(one, ast.Name)}
    return {
        node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module and unit(node.module) == "patterns"
        if any((alias.asname or alias.name) in called for alias in node.names)
    }


def folder(module: str, sources: Sources) -> str:
    """The folder of patterns/ that a module is in; empty for what is right there, or elsewhere."""
    parts = module.split(".")
    inner = ".".join(parts[:3])
    return inner if len(parts) > 2 and parts[1] == "patterns" and is_package(inner, sources) else ""


# --- the rules


def without_layer(sources: Sources) -> Iterator[str]:
    for module in sources:
        if unit(module) and unit(module) not in LAYERS:
            yield f"{module} has no layer: give {unit(module)} its line in LAYERS"


def upward(sources: Sources) -> Iterator[str]:
    for one in imports(sources):
        if one.importer == "colugo" or not is_ours(one.target):
            continue
        if layer(one.target) > layer(one.importer):
            yield f"{one}: up from layer {layer(one.importer)} to {layer(one.target)}"


def sideways(sources: Sources) -> Iterator[str]:
    patterns = pattern_modules(sources)
    for one in imports(sources):
        if one.importer == "colugo" or not is_ours(one.target):
            continue
        if unit(one.importer) == "patterns" and one.target in patterns:
            yield f"{one}: sideways, a pattern of its own"
        elif unit(one.importer) == "patterns" and folder(one.target, sources) not in (
            "",
            SHARED_FOLDER,
            folder(one.importer, sources),
        ):
            yield f"{one}: sideways into a folder that is one pattern's"
        both = layer(one.importer), layer(one.target)
        if both == (BUILT_ON_NODES, BUILT_ON_NODES) and unit(one.importer) != unit(one.target):
            yield f"{one}: sideways within layer {BUILT_ON_NODES}"


def impure(sources: Sources) -> Iterator[str]:
    for one in imports(sources):
        if one.importer == "colugo.errors":
            yield f"{one}: layer 0 imports nothing"
        if unit(one.importer) == "protocol" and one.target.partition(".")[0] in IMPURE:
            yield f"{one}: protocol/ is pure"
    for module, source in sources.items():
        for node in ast.walk(ast.parse(source)) if unit(module) == "protocol" else ():
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id in IMPURE_CALLS
            ):
                yield f"{module}, line {node.lineno}, calls {node.func.id}(): protocol/ is pure"


def hidden(sources: Sources) -> Iterator[str]:
    for one in imports(sources):
        if one.in_function:
            yield f"{one} inside a function"


def cyclic(sources: Sources) -> Iterator[str]:
    graph: dict[str, set[str]] = {module: set() for module in sources}
    for one in imports(sources):
        if one.target in graph:
            graph[one.importer].add(one.target)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        yield "a cycle of imports: " + " <- ".join(error.args[1])


def own_contexts(sources: Sources) -> Iterator[str]:
    for module, source in sources.items():
        for node in ast.walk(ast.parse(source)) if module != SOCKETS_MODULE else ():
            used = isinstance(node, ast.Attribute) and ast.unparse(node) in CONTEXTS
            taken = isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "zmq"
            if used or (taken and "Context" in ast.unparse(node)):
                line = getattr(node, "lineno", 0)
                yield f"{module}, line {line}: sockets are made in {SOCKETS_MODULE} only"


def ambiguous(sources: Sources) -> Iterator[str]:
    names: dict[str, list[str]] = {}
    for module, source in sources.items():
        if not is_package(module, sources) and module.rpartition(".")[2] not in ONE_NOUN:
            names.setdefault(f"module {module.rpartition('.')[2]}", []).append(module)
        for node in ast.parse(source).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                names.setdefault(f"class {node.name}", []).append(module)
    for name, modules in names.items():
        if len(modules) > 1:
            yield f"one name for two things, {name}: {', '.join(modules)}"


def crowded(sources: Sources) -> Iterator[str]:
    folders: dict[str, int] = {}
    for module in sources:
        if not is_package(module, sources):
            parent = module.rpartition(".")[0]
            folders[parent] = folders.get(parent, 0) + 1
    for parent, count in folders.items():
        if count > MOST_MODULES:
            yield f"{parent} has {count} modules: give one of its nouns a folder"


Rule = Callable[[Sources], Iterator[str]]
RULES: list[Rule] = [
    without_layer,
    upward,
    sideways,
    impure,
    hidden,
    cyclic,
    own_contexts,
    ambiguous,
    crowded,
]

"""The shape of the code: small modules with telling names, and imports that point one way."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HARNESS = ROOT / "harness" / "vmrbench"
PLUGINS = ROOT / "plugins" / "vmrbench_plugins"
HARNESS_MODULES = sorted(HARNESS.rglob("*.py"))
MODULES = [*HARNESS_MODULES, *sorted(PLUGINS.rglob("*.py"))]
EVERYTHING = [*MODULES, *sorted((ROOT / "tests").rglob("*.py")), *sorted((ROOT / "examples").rglob("*.py"))]

MOST_LINES = 400
MOST_LINES_OF_A_FUNCTION = 40
EMPTY_NAMES = {"utils", "util", "helpers", "helper", "common", "misc", "base"}
DEVICE_WORDS = re.compile(r"(cuda|cpu)(:\d+)?")  # As a whole literal: prose may name devices.
DEVICE_PACKAGES = {"config", "engine", "cost"}
NAMES_PLUGINS = {"catalog.py", "plugin_sources.py"}

# From the bottom up: a module imports from its own group and from groups below, never from beside or above.
LAYERS: list[list[set[str]]] = [
    [{"types"}, {"errors"}, {"option_types"}],
    [{"spans"}, {"protocols"}, {"identity"}, {"checkpoints"}, {"weight_files"}],
    [{"specs"}],
    [{"hookspecs"}],
    [{"vmrbench"}, {"protocol"}],
    [{"data"}, {"parts"}, {"plugin_sources"}, {"store"}, {"postprocess"}, {"launch"}],
    [{"config", "catalog"}, {"trim"}, {"cost"}, {"score"}],
    [{"models"}],
    [{"official_weights"}],
    [{"report"}],
    [{"engine"}],
    [{"testing"}, {"cli"}],
]
HEIGHT = {name: height for height, layer in enumerate(LAYERS) for group in layer for name in group}
GROUP = {name: frozenset(group) for layer in LAYERS for group in layer for name in group}


@functools.cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imports(path: Path) -> Iterator[str]:
    """Dotted names of everything a module imports; a name imported from `vmrbench` itself counts as `vmrbench.name`."""
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import; write the full name"
            module = node.module or ""
            whole = module in {"vmrbench", "vmrbench_plugins"}
            yield from ([f"{module}.{alias.name}" for alias in node.names] if whole else [module])


def part_of(dotted: str) -> str:
    """The part of the harness that a dotted name below `vmrbench` belongs to."""
    first = dotted.split(".")[1] if "." in dotted else "vmrbench"
    return first if (HARNESS / first).is_dir() or (HARNESS / f"{first}.py").is_file() else "vmrbench"


def texts(path: Path) -> Iterator[tuple[int, str]]:
    """String literals with their lines, without docstrings."""
    tree = parsed(path)
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    bare = {id(s.value) for n in ast.walk(tree) if isinstance(n, documented) for s in n.body if isinstance(s, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in bare:
            yield node.lineno, node.value


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def is_table(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """A hook, or a function that is one return statement: a list of specs, however long."""
    alone = len(function.body) == 1 + bool(ast.get_docstring(function))
    return function.name.startswith("vmr_") or (alone and isinstance(function.body[-1], ast.Return))


def test_no_module_is_longer_than_400_lines() -> None:
    lengths = {name_of(path): len(path.read_text(encoding="utf-8").splitlines()) for path in EVERYTHING}

    assert {name: lines for name, lines in lengths.items() if lines > MOST_LINES} == {}


def test_no_function_is_longer_than_40_lines_without_its_docstring() -> None:
    long = []
    for path in MODULES:
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not is_table(node):
                start = node.body[0].end_lineno if ast.get_docstring(node) else node.lineno
                if (node.end_lineno or 0) - (start or 0) > MOST_LINES_OF_A_FUNCTION:
                    long.append(f"{name_of(path)}:{node.lineno} {node.name}")

    assert long == []


def test_no_module_has_a_name_that_says_nothing() -> None:
    parts = {path: {path.stem, *path.relative_to(ROOT).parent.parts} for path in EVERYTHING}

    assert [name_of(path) for path, names in parts.items() if names & EMPTY_NAMES] == []


def test_every_part_of_the_harness_has_a_layer() -> None:
    found = {path.relative_to(HARNESS).parts[0].removesuffix(".py") for path in HARNESS_MODULES}

    assert found - {"__init__", "__main__"} - set(HEIGHT) == set(), "give it a place in LAYERS"


def test_imports_point_one_way() -> None:
    wrong = []
    for path in HARNESS_MODULES:
        here = path.relative_to(HARNESS).parts[0].removesuffix(".py")
        if here in {"__init__", "__main__"}:
            continue  # The package itself offers names of any layer.
        for dotted in imports(path):
            there = part_of(dotted) if dotted.split(".")[0] == "vmrbench" else here
            if {here, there} <= set(HEIGHT) and there not in GROUP[here] and HEIGHT[there] >= HEIGHT[here]:
                wrong.append(f"{name_of(path)} imports {dotted}")

    assert wrong == []


def test_the_harness_imports_no_plugin() -> None:
    assert [
        name_of(path) for path in HARNESS_MODULES if any(d.startswith("vmrbench_plugins") for d in imports(path))
    ] == []


def test_only_the_catalog_names_the_package_of_first_party_plugins() -> None:
    named = {path for path in HARNESS_MODULES if any("vmrbench_plugins" in text for _, text in texts(path))}

    assert {path.name for path in named} <= NAMES_PLUGINS


def test_device_words_stay_in_config_engine_and_cost() -> None:
    named = [
        f"{name_of(path)}:{line} {text!r}"
        for path in MODULES
        if not (path.is_relative_to(HARNESS) and path.relative_to(HARNESS).parts[0] in DEVICE_PACKAGES)
        for line, text in texts(path)
        if DEVICE_WORDS.fullmatch(text)
    ]

    assert named == []


def test_mmengine_is_imported_in_the_engine_only() -> None:
    users = [path for path in MODULES if any(dotted.split(".")[0] == "mmengine" for dotted in imports(path))]

    assert [name_of(path) for path in users if not path.is_relative_to(HARNESS / "engine")] == []


def test_mmengines_registry_is_not_used() -> None:
    names = {path: {node.id for node in ast.walk(parsed(path)) if isinstance(node, ast.Name)} for path in MODULES}

    assert [name_of(path) for path, used in names.items() if "Registry" in used] == []
    assert [name_of(path) for path in MODULES if any(d.startswith("mmengine.registry") for d in imports(path))] == []

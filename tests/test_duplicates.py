"""No block of code is written twice: whoever corrects one copy forgets the other."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MODULES = sorted([*(ROOT / "harness").rglob("*.py"), *(ROOT / "plugins").rglob("*.py")])
FEWEST_LINES = 10

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, kw_only=True)
class Body:
    """A function's code as Python itself would print it: without docstrings, comments and line breaks of its author.

    lines: one a printed line; shape: the syntax tree with local names numbered and constants left out.
    """

    place: str
    lines: tuple[str, ...]
    shape: str


class _Shape(ast.NodeTransformer):
    """Numbers the names that a function binds, and forgets constants."""

    def __init__(self, bound: set[str]) -> None:
        self._bound = bound
        self._numbers: dict[str, str] = {}

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return ast.copy_location(ast.Name(id=self._named(node.id), ctx=node.ctx), node)

    def visit_arg(self, node: ast.arg) -> ast.AST:
        return ast.copy_location(ast.arg(arg=self._named(node.arg)), node)

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        return ast.copy_location(ast.Constant(value=None), node)

    def _named(self, name: str) -> str:
        return self._numbers.setdefault(name, f"_{len(self._numbers)}") if name in self._bound else name


def bodies(source: str, name: str) -> Iterator[Body]:
    """Every function and method of a module, those inside another as part of it."""
    for function in outermost(ast.parse(source)):
        place = f"{name}:{function.lineno} {function.name}"
        bare = without_docstrings(function)
        lines = tuple(line for statement in bare.body for line in ast.unparse(statement).splitlines())
        arguments = {node.arg for node in ast.walk(bare) if isinstance(node, ast.arg)}
        stored = {n.id for n in ast.walk(bare) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
        shape = _Shape(arguments | stored)
        yield Body(place=place, lines=lines, shape="\n".join(ast.dump(shape.visit(node)) for node in bare.body))


def outermost(node: ast.AST) -> Iterator[Function]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, Function):
            yield child
        else:
            yield from outermost(child)


def without_docstrings(function: Function) -> Function:
    for node in ast.walk(function):
        if isinstance(node, Function | ast.ClassDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return function


def equal_bodies(found: list[Body]) -> list[str]:
    """Places of functions of ten lines or more that do the same, whatever they call their variables."""
    places: dict[str, list[str]] = defaultdict(list)
    for body in found:
        if len(body.lines) >= FEWEST_LINES:
            places[body.shape].append(body.place)
    return [" = ".join(same) for same in places.values() if len(same) > 1]


def equal_runs(found: list[Body]) -> list[str]:
    """Pairs of places that share ten lines in a row, each pair once."""
    first: dict[tuple[str, ...], tuple[str, int]] = {}
    pairs: dict[tuple[str, str], None] = {}
    for body in found:
        for start in range(len(body.lines) - FEWEST_LINES + 1):
            run = body.lines[start : start + FEWEST_LINES]
            place, before = first.setdefault(run, (body.place, start))
            if place != body.place or start - before >= FEWEST_LINES:
                pairs[place, body.place] = None
    return [" ~ ".join(pair) for pair in pairs]


@pytest.fixture(scope="module")
def written() -> list[Body]:
    return [
        body for path in MODULES for body in bodies(path.read_text(encoding="utf-8"), path.relative_to(ROOT).as_posix())
    ]


def test_no_function_of_ten_lines_is_written_twice(written: list[Body]) -> None:
    assert equal_bodies(written) == []


def test_no_ten_lines_in_a_row_are_written_twice(written: list[Body]) -> None:
    assert equal_runs(written) == []


LINES = [f"    total += weigh(item, {n})" for n in range(9)]
ONE = "\n".join(["def one(item, total):", '    """Says something."""', *LINES, "    return total"])


def found_in(*sources: str) -> list[Body]:
    return [body for number, source in enumerate(sources) for body in bodies(source, f"{number}.py")]


def test_a_copy_with_other_names_and_numbers_is_found() -> None:
    copy = ONE.replace("item", "part").replace("total", "whole").replace("one", "two").replace(", 3)", ", 33)")

    assert equal_bodies(found_in(ONE, copy)) == ["0.py:1 one = 1.py:1 two"]


def test_a_call_of_something_else_is_no_copy() -> None:
    assert equal_bodies(found_in(ONE, ONE.replace("weigh", "measure"))) == []


def test_a_run_inside_two_functions_is_found_whatever_its_layout() -> None:
    longer = ONE.replace("def one", "def two").replace("    return total", "    total = 0  # anew\n    return -total")
    spread = longer.replace("weigh(item, 1)", "weigh(\n        item,\n        1,\n    )")
    start = ONE.replace("    return total", "    total = 0\n    return total")

    assert equal_runs(found_in(start, spread)) == ["0.py:1 one ~ 1.py:1 two"]


def test_nine_lines_in_a_row_are_no_copy() -> None:
    assert equal_runs(found_in(ONE, ONE.replace("return total", "return -total"))) == []


def test_a_run_that_comes_twice_in_one_function_is_found() -> None:
    twice = "\n".join(["def one(item, total):", *LINES, "    stop()", *LINES, "    stop()"])

    assert equal_runs(found_in(twice)) == ["0.py:1 one ~ 0.py:1 one"]

"""Tests of options that hold dataclasses: filled strictly, with their paths resolved."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import pytest

from vmrbench.config.options import fill_dataclass, make_options, resolve_paths, under
from vmrbench.errors import ConfigError
from vmrbench.identity import identity_of_options


@dataclass(frozen=True, kw_only=True)
class Source:
    path: Path = field(metadata={"inside": "root"})
    weight: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Options:
    sources: Literal["made_up"] | tuple[Source, ...] = "made_up"
    best: Source | None = None
    many: list[Source] = field(default_factory=list)
    by_name: dict[str, Source] = field(default_factory=dict)
    root: Path | None = None


def filled(**values: Any) -> Options:
    options: Options = fill_dataclass(Options, values, under("x.yaml:3: options"))
    return options


def refusal(**values: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        filled(**values)
    return str(caught.value)


def test_lists_and_mappings_become_dataclasses() -> None:
    source = {"path": "a", "weight": 2}

    options = filled(sources=[source], best=source, many=[source])

    made = Source(path=Path("a"), weight=2.0)
    assert (options.sources, options.best, options.many) == ((made,), made, [made])


def test_other_alternatives_stay_possible() -> None:
    options = filled(sources="made_up", best=None, by_name={"a": {"path": "b"}})

    assert (options.sources, options.best) == ("made_up", None)
    assert options.by_name == {"a": Source(path=Path("b"))}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"sources": [{"path": "a"}, {"path": "a", "wieght": 1.0}]},
            "x.yaml:3: options.sources[1].wieght: unknown option; did you mean 'weight'?",
        ),
        (
            {"sources": [{"weight": 1.0}]},
            "x.yaml:3: options.sources[0].path: not given, but it has no default; write it",
        ),
        (
            {"sources": [{"path": "a", "weight": "1e-4"}]},
            "x.yaml:3: options.sources[0].weight: '1e-4' is read as text by YAML; write 1.0e-4",
        ),
        ({"best": {"pth": "a"}}, "x.yaml:3: options.best.pth: unknown option; did you mean 'path'?"),
        ({"sources": ["a"]}, "x.yaml:3: options.sources: "),
    ],
)
def test_a_mistake_inside_names_its_key(values: dict[str, Any], message: str) -> None:
    assert refusal(**values).startswith(message)


def test_paths_inside_are_relative_to_the_file_they_stand_in() -> None:
    values = {"sources": [{"path": "a"}, {"path": "/b"}], "best": {"path": "c"}}

    resolved = resolve_paths(Options, values, lambda key: Path("/sweep"))

    assert resolved == {"sources": [{"path": "/sweep/a"}, {"path": "/b"}], "best": {"path": "/sweep/c"}}


def test_paths_inside_start_from_the_folder_that_an_option_gives() -> None:
    resolved = resolve_paths(Options, {"root": "data", "sources": [{"path": "a"}]}, lambda key: Path("/sweep"))

    assert resolved == {"root": "/sweep/data", "sources": [{"path": "/sweep/data/a"}]}


def test_paths_inside_are_no_part_of_the_identity() -> None:
    spec = SimpleNamespace(name="x", options=Options)
    here, there = (make_options(spec, None, {"sources": [{"path": path}]}, "x.yaml") for path in "ab")

    assert identity_of_options(here) == identity_of_options(there)
    assert identity_of_options(here)["sources"] == [{"weight": 1.0}]

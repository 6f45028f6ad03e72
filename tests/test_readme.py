"""The README against the code: its tables, commands, sweeps and make targets."""

from __future__ import annotations

import re
import shlex
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import typer.main

from vmrbench.catalog import load_catalog
from vmrbench.cli.app import app
from vmrbench.cli.ls import describe
from vmrbench.config import load_config
from vmrbench.data.annotations import read_annotations

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
CATALOG = load_catalog()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def shown(program: str) -> list[list[str]]:
    """The arguments of every command in a code block that starts with `program`, without comments."""
    lines = [line for block in blocks("") for line in block.splitlines()]
    return [shlex.split(line, comments=True)[1:] for line in lines if line.startswith(f"{program} ")]


def names(values: Any) -> str:
    return ", ".join(f"`{value}`" for value in values) or "none"


def table_of(kind: str) -> str:
    """The table of a kind: names and summaries, presets of backbones, options of trimmers and data sets."""
    third = "presets" if kind == "backbones" else "options"
    lines = [f"| {kind.removesuffix('s')} | what it is | {third} |", "| --- | --- | --- |"]
    for name, offer in sorted(CATALOG.offers(kind.removesuffix("s")).items()):
        more = offer.spec.presets if kind == "backbones" else describe(offer)["options"]
        lines.append(f"| `{name}` | {offer.spec.summary} | {names(more)} |")
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("kind", ["backbones", "trimmers", "datasets"])
def test_tables_of_plugins_say_what_the_catalog_says(kind: str) -> None:
    (table,) = re.findall(rf"<!-- table: {kind} -->\n(.*?)<!-- end -->", README, re.DOTALL)

    assert table == table_of(kind)


def test_the_table_of_commands_names_every_verb_and_no_other() -> None:
    group: Any = typer.main.get_command(app)

    assert set(re.findall(r"^\| `vmrbench (\w+)", README, re.MULTILINE)) == set(group.commands)


@pytest.mark.parametrize("arguments", shown("vmrbench"), ids=" ".join)
def test_every_command_shown_parses(arguments: list[str]) -> None:
    group: Any = typer.main.get_command(app)

    group.commands[arguments[0]].make_context(arguments[0], arguments[1:])


def test_every_overriding_command_on_the_published_sweep_fits_it() -> None:
    (arguments,) = [a for a in shown("vmrbench") if a[0] == "run" and "--limit" in a]
    sets = [value for option, value in pairwise(arguments) if option == "--set"]

    config = load_config(ROOT / "benchmarks.yaml", sets)

    assert config.report.name == "README.md"


def test_every_make_target_shown_is_in_the_makefile() -> None:
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)

    assert {arguments[0] for arguments in shown("make")} <= set(targets)


@pytest.mark.parametrize("number", range(len(blocks("yaml"))))
def test_sweeps_shown_are_valid(number: int, tmp_path: Path) -> None:
    path = tmp_path / "sweep.yaml"
    path.write_text(blocks("yaml")[number])

    cells = load_config(path).resolve(CATALOG)

    assert cells


def test_the_annotation_shown_can_be_read(tmp_path: Path) -> None:
    (line,) = blocks("json")
    (tmp_path / "train.jsonl").write_text(line)

    (annotation,) = read_annotations(tmp_path / "train.jsonl")

    assert annotation.moments == ((4.0, 9.5),)


def test_the_pinned_torch_is_that_of_the_makefile() -> None:
    assert re.findall(r"^pip install (torch==\S+)", README, re.MULTILINE) == re.findall(
        r"^TORCH \?= (\S+)", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE
    )

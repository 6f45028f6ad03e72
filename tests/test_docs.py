"""The documents against the code: links lead somewhere, and tables say what the code says."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import pytest

from vmrbench.catalog import load_catalog
from vmrbench.cli.ls import describe
from vmrbench.data.features import FeatureSource
from vmrbench.data.layouts import LAYOUTS
from vmrbench.protocol.published import PROTOCOLS
from vmrbench.store.folders import STAGES
from vmrbench_plugins.jsonl_annotations import JsonlOptions

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
WRITTEN_BY_A_RUN = {ROOT / "reports" / "README.md"}


def docs(name: str) -> str:
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_relative_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?://)([^)#]+)", page.read_text(encoding="utf-8"))
    targets = {(page.parent / link).resolve() for link in links}

    assert [str(target) for target in targets - WRITTEN_BY_A_RUN if not target.exists()] == []


def test_the_options_of_spotvmr_are_those_of_the_code() -> None:
    section = docs("spotvmr.md").partition("## Options")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| ([^|]+) \| [^|]+ \| [^|]+ \|$", section, re.MULTILINE)

    options = describe(load_catalog().trimmers["spotvmr"])["options"]

    assert {name: default.strip() for name, default in rows} == {
        name: default if isinstance(default, str) else json.dumps(default) for name, default in options.items()
    }


def test_the_page_of_trimmers_has_a_row_for_each_and_no_other() -> None:
    table = docs("trimmers.md").partition("<!-- rows: trimmers -->")[2].partition("<!-- end -->")[0]

    assert sorted(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == sorted(load_catalog().trimmers)


def test_the_preset_exact_is_that_of_the_code() -> None:
    table = docs("spotvmr.md").partition("| preset `exact` |")[2].partition("\n\n")[0]

    values = load_catalog().trimmers["spotvmr"].spec.presets["exact"]

    assert dict(re.findall(r"^\| `(\w+)` \| (\S+) \|$", table, re.MULTILINE)) == {
        name: value if isinstance(value, str) else json.dumps(value) for name, value in values.items()
    }


def test_the_terms_of_distillation_are_those_of_the_code() -> None:
    named = set(re.findall(r"^\| `(distill_\w+)`", docs("spotvmr.md"), re.MULTILINE))

    source = (ROOT / "plugins" / "vmrbench_plugins" / "spotvmr.py").read_text(encoding="utf-8")

    assert named == set(re.findall(r'terms\["(distill_\w+)"\]', source))


def test_the_stages_of_the_store_are_those_of_the_code() -> None:
    table = docs("architecture.md").partition("## Stages and keys")[2].partition("## Where")[0]

    assert set(re.findall(r"^\| `(\w+)`", table, re.MULTILINE)) == {*STAGES, "failed"}


@pytest.mark.parametrize(("title", "kind"), [("Options of `jsonl`", JsonlOptions), ("Feature sources", FeatureSource)])
def test_the_options_of_own_data_are_those_of_the_code(title: str, kind: type) -> None:
    section = docs("data.md").partition(f"## {title}")[2].partition("\n## ")[0]
    first_columns = re.findall(r"^\| (`[^|]+) \|", section, re.MULTILINE)

    named = [name for column in first_columns for name in re.findall(r"`(\w+)`", column)]

    assert named == [item.name for item in dataclasses.fields(kind)]


def test_the_layouts_of_features_are_those_of_the_code() -> None:
    section = docs("data.md").partition("## Layouts")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| [^|]+ \| ([^|]+) \| ([^|]+) \|$", section, re.MULTILINE)

    assert {name: re.findall(r"`(\w+)`", datasets) for name, datasets, _ in rows} == {
        name: list(datasets) for name, datasets in LAYOUTS.items()
    }
    for name, _, parts in rows:
        known = {part for features in LAYOUTS[name].values() for part in features.parts}  # type: ignore[index]
        assert set(re.findall(r"`(\w+)`", parts)) == known


def test_the_protocols_are_those_of_the_code() -> None:
    section = docs("metrics.md").partition("## Published protocols")[2].partition("\n## ")[0]
    columns = [r"`([\w-]+)`", r"`(>=?)`", r"(\w+)", r"(\w+)", r"(\w+)", r"([\w.]+)", r"([\w ]+)"]
    rows = re.findall(r"^\| " + r" \| ".join(columns) + r" \|", section, re.MULTILINE)

    missing = {"refused": "error", "dropped": "left out"}
    assert rows == [
        (p.name, p.operator, p.truth, p.union, p.order, f"{p.nms:g}" if p.nms else "none", missing[p.missing])
        for p in PROTOCOLS.values()
    ]

"""Tests of the JSON Schema of the sweep file."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path

import jsonschema
import pytest
from ruamel.yaml import YAML

from vmrbench.config import CostConfig, TrainConfig
from vmrbench.config.schema import SweepFile, schema_text

ROOT = Path(__file__).resolve().parents[3]


def test_the_stored_schema_is_current():
    stored = (ROOT / "docs" / "benchmarks.schema.json").read_text(encoding="utf-8")

    assert stored == schema_text(), "run 'vmrbench schema --write docs/benchmarks.schema.json'"


def sweep_files() -> list[Path]:
    examples = [path for path in sorted((ROOT / "examples").rglob("*.yaml")) if "datasets:" in path.read_text()]
    return [ROOT / "benchmarks.yaml", *examples]


@pytest.mark.parametrize("path", sweep_files(), ids=lambda path: path.name)
def test_sweep_files_fit_the_schema_and_name_it_for_editors(path):
    jsonschema.validate(YAML(typ="safe").load(path), json.loads(schema_text()))

    first = path.read_text(encoding="utf-8").splitlines()[0]
    assert first.startswith("# yaml-language-server: $schema=")
    assert first.endswith("benchmarks.schema.json")


def test_the_schema_refuses_an_unknown_key():
    with pytest.raises(jsonschema.ValidationError, match="sedes"):
        jsonschema.validate(
            {"datasets": [{"name": "a"}], "backbones": [{"name": "a"}], "trimmers": [{"name": "a"}], "sedes": [0]},
            json.loads(schema_text()),
        )


def test_the_published_sweep_shows_every_key_but_inherit():
    shown = YAML(typ="safe").load(ROOT / "benchmarks.yaml")

    assert set(shown) == set(SweepFile.model_fields) - {"inherit"}
    assert set(shown["train"]) == {item.name for item in fields(TrainConfig)}
    assert set(shown["cost"]) == {item.name for item in fields(CostConfig)}


def test_every_key_is_explained_in_the_docs():
    text = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    definitions = json.loads(schema_text())["$defs"]
    keys = set(SweepFile.model_fields).union(*(part["properties"] for part in definitions.values()))

    assert [key for key in sorted(keys) if f"`{key}`" not in text] == []

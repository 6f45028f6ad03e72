"""The documents on configuration and plug-ins, checked against the code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
import typer.main

from vmrbench import hookspecs
from vmrbench.catalog import load_catalog
from vmrbench.cli import app as app_module
from vmrbench.config import load_config
from vmrbench.specs import TrimDims
from vmrbench.testing.conformance import check_trimmer
from vmrbench.weight_files import Provenance, write_weight_file

DOCS = Path(__file__).resolve().parents[3] / "docs"


def blocks(name: str, language: str) -> list[str]:
    text = (DOCS / name).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (example,) = blocks("plugins.md", "python")
    path = tmp_path / "middle.py"
    path.write_text(example)
    return path


def test_the_example_of_a_plugin_passes_the_conformance_checks(plugin):
    spec = load_catalog([plugin], package=None).trimmers["middle"].spec

    check_trimmer(spec, TrimDims(index=6, text=5, rows=14, embedding=None))


def test_the_example_of_its_use_is_a_valid_sweep(plugin):
    (example,) = blocks("plugins.md", "yaml")
    plugin.with_name("sweep.yaml").write_text(example)

    config = load_config("sweep.yaml")
    (cell,) = config.resolve(load_catalog(config.plugins))

    assert (cell.id, cell.trimmer.options.keep_ratio) == ("simulated/moment_detr/middle/0", 0.5)


def test_the_document_on_plugins_names_every_hook_and_no_other():
    named = set(re.findall(r"`(vmr_\w+)`", (DOCS / "plugins.md").read_text(encoding="utf-8"))) - {"vmr_trimmer"}

    assert named == {name for name in vars(hookspecs) if name.startswith("vmr_")}


def test_examples_of_configuration_are_valid_sweeps(tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "benchmarks.yaml").write_text((DOCS.parent / "benchmarks.yaml").read_text())
    smallest, frozen, launcher, inheriting = blocks("configuration.md", "yaml")
    given = "weights: moment_detr.safetensors, train: {base_epochs: 0}"
    assert given in frozen
    frozen = "datasets:\n  - name: simulated\n" + frozen.replace(given, "train: {base_epochs: 1}")
    catalog = load_catalog()

    counts = []
    for text in (smallest, smallest + launcher, frozen, inheriting):
        path = tmp_path / "deep" / "sweep.yaml"
        path.write_text(text)
        config = load_config(path)
        config.launcher(catalog)
        counts.append(len(config.resolve(catalog)))

    assert counts[:3] == [1, 1, 2]
    assert counts[3] > 1


def test_the_document_on_configuration_names_every_verb_and_no_other():
    text = (DOCS / "configuration.md").read_text(encoding="utf-8")

    verbs = set(typer.main.get_command(app_module).commands)

    assert set(re.findall(r"^\| `vmrbench (\w+)", text, re.MULTILINE)) == verbs


def test_the_example_of_a_sweep_on_given_weights_is_valid(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (example,) = blocks("weights.md", "yaml")
    (tmp_path / "sweep.yaml").write_text(example)
    told = {"options": {"slots": 7}, "preset": None, "video": 3, "text": 3, "source": "a", "part": None}
    provenance = Provenance(backbone="moment_detr", source_sha256="0", **told)
    write_weight_file(tmp_path / "best.safetensors", {"a": torch.zeros(1)}, provenance)

    (cell,) = load_config("sweep.yaml").resolve(load_catalog())

    assert (cell.backbone.options.slots, cell.backbone.weights.path.name) == (7, "best.safetensors")


def test_the_document_on_weights_names_every_option_of_the_import():
    command = typer.main.get_command(app_module).commands["weights"].commands["import"]

    named = set(re.findall(r"^\| `(--\w+)", (DOCS / "weights.md").read_text(encoding="utf-8"), re.MULTILINE))

    assert named == {name for option in command.params for name in option.opts if name.startswith("--")}

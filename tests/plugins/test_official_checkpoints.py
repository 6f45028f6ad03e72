"""Checkpoints of the official implementations, with the options they were trained with, become our weight files."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from vmrbench.catalog import load_catalog, make_options
from vmrbench.cli import app
from vmrbench.specs import BackboneSpec
from vmrbench.weight_files import read_weight_file

# UVCOM and BAM-DETR are stored without all of their weights.
WHOLE = ("moment_detr", "qd_detr", "cg_detr", "tr_detr", "eatr", "univtg")
EVERY = {**{name: name for name in WHOLE}, "uvcom": "uvcom", "bam_detr": "bam_detr/full"}
SIZES = {"hidden_dim": "hidden", "nheads": "heads", "dim_feedforward": "inner", "input_dropout": "input_dropout"}


def official_options(shared_dir: Path, folder: str) -> dict[str, Any]:
    config = json.loads((shared_dir / "goldens" / folder / "config.json").read_text())
    found: dict[str, Any] = config["official_opt"]
    return found


@pytest.mark.parametrize("backbone", WHOLE)
def test_an_official_checkpoint_is_imported_with_its_options(shared_dir: Path, tmp_path: Path, backbone: str) -> None:
    opt = official_options(shared_dir, backbone)
    stored = np.load(shared_dir / "goldens" / backbone / "weights.npz")
    state = {key: torch.from_numpy(value) for key, value in stored.items()}
    source, out = tmp_path / "model_best.ckpt", tmp_path / "imported.safetensors"
    torch.save({"model": state, "opt": argparse.Namespace(**opt), "epoch": 3}, source)

    done = CliRunner().invoke(app, ["weights", "import", "--backbone", backbone, str(source), "--out", str(out)])

    assert done.exit_code == 0, done.output
    imported = read_weight_file(out)
    key_map = load_catalog().pick("backbone", backbone).spec.key_map
    assert imported.shapes().keys() == {key_map(key) for key in state}
    assert (imported.provenance.video, imported.provenance.text) == (opt["v_feat_dim"] - 2, opt["t_feat_dim"])
    assert {o: imported.provenance.options[ours] for o, ours in SIZES.items()} == {o: opt[o] for o in SIZES}


@pytest.mark.parametrize("backbone", EVERY)
def test_every_option_of_an_official_checkpoint_fits_the_backbone(shared_dir: Path, backbone: str) -> None:
    spec: BackboneSpec = load_catalog().pick("backbone", backbone).spec
    assert spec.options_from_official is not None

    options = make_options(
        spec, None, spec.options_from_official(official_options(shared_dir, EVERY[backbone])), backbone
    )

    assert isinstance(options, spec.options)

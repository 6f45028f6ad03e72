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
from vmrbench.specs import BackboneSpec, Dims
from vmrbench.weight_files import read_weight_file

# UVCOM and BAM-DETR are stored without all of their weights.
WHOLE = ("moment_detr", "qd_detr", "cg_detr", "tr_detr", "eatr", "univtg")
EVERY = {**{name: name for name in WHOLE}, "uvcom": "uvcom", "bam_detr": "bam_detr/full"}
KEYS = {
    "uvcom": "uvcom/small_state_dict_keys.json",
    "bam_detr": "bam_detr/official_full_state_dict_keys.json",
}
# The names of docs and papers, written down once more.
OURS = {
    "lw_saliency": "saliency",
    "lw_wattn": "attention",
    "lw_ms_align": "alignment",
    "lw_distill": "distillation",
    "VTC_loss_coef": "video_sentence",
    "CTC_loss_coef": "clip_sentence",
    "em_iter": "cluster_rounds",
    "num_slot_iter": "rounds",
    "event_coef": "events",
    "sim_loss_coef": "similarity",
    "quality_loss_coef": "quality",
    "boundary_loss_coef": "boundary",
    "eos_coef": "no_object",
    "temperature": "temperature",
    "s_loss_intra_coef": "within",
    "s_loss_inter_coef": "between",
    "b_loss_coef": "span",
    "g_loss_coef": "giou",
    "f_loss_coef": "label",
}
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


@pytest.mark.parametrize(("backbone", "keys"), KEYS.items())
def test_options_of_an_official_checkpoint_build_what_it_holds(shared_dir: Path, backbone: str, keys: str) -> None:
    """Of those whose weights are not all stored: the shapes of the file and no others."""
    spec: BackboneSpec = load_catalog().pick("backbone", backbone).spec
    assert spec.options_from_official is not None
    assert spec.key_map is not None
    opt = official_options(shared_dir, EVERY[backbone])

    options = make_options(spec, None, spec.options_from_official(opt), backbone)

    with torch.device("meta"):
        model = spec.build(options, Dims(video=opt["v_feat_dim"] - 2, text=opt["t_feat_dim"]))
    listed = json.loads((shared_dir / "goldens" / keys).read_text())
    held = {spec.key_map(key): tuple(shape) for key, shape, *_ in listed}
    assert {name: tuple(value.shape) for name, value in model.state_dict().items()} == held


@pytest.mark.parametrize("backbone", EVERY)
def test_options_that_no_shape_shows_are_read_where_they_belong(shared_dir: Path, backbone: str) -> None:
    spec: BackboneSpec = load_catalog().pick("backbone", backbone).spec
    assert spec.options_from_official is not None
    names = ["lw_saliency", "lw_wattn", "lw_ms_align", "lw_distill", "VTC_loss_coef", "CTC_loss_coef", "em_iter"]
    names += ["num_slot_iter", "event_coef", "sim_loss_coef", "quality_loss_coef", "boundary_loss_coef", "eos_coef"]
    names += ["temperature", "s_loss_intra_coef", "s_loss_inter_coef", "b_loss_coef", "g_loss_coef", "f_loss_coef"]
    held = set(official_options(shared_dir, EVERY[backbone]))
    # A number of its own for each, so that no two can be taken for one another.
    opt = {name: 2 + place for place, name in enumerate(names) if name in held}

    read = spec.options_from_official(opt)

    flat = {**{k: v for k, v in read.items() if not isinstance(v, dict)}, **read.get("weights", {})}
    ours = {**OURS, "eos_coef": "outside"} if backbone == "univtg" else OURS
    # Of the contrastive term, which published configurations of the relatives of DETR leave out.
    unread = {"temperature"} if backbone != "univtg" else set()
    expected = {ours[name]: value for name, value in opt.items() if name not in unread}
    assert flat == expected

"""Tests of the epochs in which a trimmer learns alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from vmrbench.config import TrainConfig
from vmrbench.engine.record import _warnings
from vmrbench.engine.selector_training import can_learn_alone, train_selector
from vmrbench.engine.splits import split_of
from vmrbench.engine.stages import LOG, new_arm, untrimmed_arm
from vmrbench.engine.train import Stage
from vmrbench.store import read_json

ALONE = ("trimmers.0.train.selector_epochs=2",)
MakeSweep = Callable[..., Any]


@pytest.mark.parametrize("share_encoder", [True, False])
def test_the_trimmer_learns_and_the_backbone_stands_still(
    make_sweep: MakeSweep, tmp_path: Path, share_encoder: bool
) -> None:
    cell = make_sweep("exact", sets=(f"trimmers.0.options.share_encoder={str(share_encoder).lower()}",)).cells["exact"]
    arm, teacher = new_arm(cell), untrimmed_arm(cell).eval()
    before = {name: value.clone() for name, value in arm.state_dict().items()}
    stage = Stage(
        name="selector",
        epochs=3,
        seed=0,
        settings=TrainConfig(batch_size=8, select_by="mIoU"),
        device=torch.device("cpu"),
        precision="fp32",
        folder=tmp_path,
        teacher=teacher,
    )

    log = train_selector(arm, split_of(cell, "train"), split_of(cell, "val"), stage)

    changed = {name.partition(".")[0] for name, value in arm.state_dict().items() if not value.equal(before[name])}
    assert changed == {"trimmer"}
    assert log.losses[-1]["trim_selection"] < log.losses[0]["trim_selection"]
    assert log.selected_epoch == 3
    assert all(parameter.requires_grad for parameter in arm.parameters())
    assert all(parameter.grad is None for parameter in arm.backbone.parameters())


def test_only_a_trimmer_with_a_selection_loss_learns_alone(make_sweep: MakeSweep) -> None:
    cells = make_sweep("exact", "spotvmr", "uniform").cells

    found = {name: can_learn_alone(new_arm(cell).trimmer) for name, cell in cells.items()}

    assert found == {"exact": True, "spotvmr": False, "uniform": False}


def test_selector_epochs_change_the_arm_and_not_the_base_model(make_sweep: MakeSweep) -> None:
    without, none, some = (
        make_sweep("exact", sets=sets).keys("exact") for sets in ((), ("train.selector_epochs=0",), ALONE)
    )

    assert without == none
    assert some.base == without.base
    assert some.train != without.train


def test_a_sweep_trains_the_selector_first_and_says_so(make_sweep: MakeSweep) -> None:
    sweep = make_sweep("exact", sets=ALONE)

    assert dict(sweep.run().failed) == {}

    folder = sweep.folder("train", "exact")
    log = read_json(folder / LOG)
    assert len(log["selector"]["losses"]) == 2
    assert set(log["selector"]["losses"][0]) == {"trim_selection"}
    assert len(log["losses"]) == 1
    assert sweep.record("exact")["warnings"] == [
        "selector alone: 2 epochs of its own before the extra ones, which every arm has"
    ]
    assert "selector alone: 2 epochs" in sweep.config.report.read_text(encoding="utf-8")
    assert sorted(path.name for path in folder.iterdir() if path.is_dir()) == []


def test_a_log_from_before_selectors_learned_alone_says_nothing_of_it() -> None:
    assert _warnings({"shares_encoder": True}) == []

"""Tests of one stage of training: wherever it is interrupted, it ends with the same weights."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from vmrbench.config import TrainConfig
from vmrbench.engine.splits import split_of
from vmrbench.engine.stages import untrimmed_arm
from vmrbench.engine.train import Stage, TrainLog, _Watch, train

EPOCHS = 5


class Interrupted(BaseException):
    """Not an error that anything catches."""


def trained(cell: Any, folder: Path, settings: TrainConfig) -> tuple[TrainLog, dict[str, torch.Tensor]]:
    folder.mkdir(exist_ok=True)
    stage = Stage(
        name="base",
        epochs=EPOCHS,
        seed=cell.seed,
        settings=settings,
        device=torch.device("cpu"),
        precision="fp32",
        folder=folder,
    )
    arm = untrimmed_arm(cell)
    log = train(arm, split_of(cell, "train"), split_of(cell, "val"), stage)
    return log, arm.state_dict()


# Where a run is interrupted: a hook of the engine, and the number of finished epochs.
POINTS = [
    ("before_train_epoch", 3),
    ("after_train_epoch", 2),
    ("after_val_epoch", 2),
    ("after_val_epoch", 4),
    ("after_val_epoch", 5),
]


@pytest.mark.parametrize(("hook", "epoch"), POINTS)
@pytest.mark.parametrize("validate_every", [1, 2])
def test_an_interrupted_stage_ends_as_a_straight_one(
    make_sweep: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    hook: str,
    epoch: int,
    validate_every: int,
) -> None:
    cell = make_sweep("all").cells["all"]
    settings = TrainConfig(batch_size=8, validate_every=validate_every, select_by="mIoU")
    straight = trained(cell, tmp_path / "straight", settings)
    undisturbed = getattr(_Watch, hook)

    def interrupt(self: Any, runner: Any, *given: Any, **named: Any) -> None:
        if runner.epoch == epoch:
            raise Interrupted
        undisturbed(self, runner, *given, **named)

    with monkeypatch.context() as broken:
        broken.setattr(_Watch, hook, interrupt)
        with pytest.raises(Interrupted):
            trained(cell, tmp_path / "first", settings)
    (tmp_path / "first").rename(tmp_path / "second")
    resumed = trained(cell, tmp_path / "second", settings)

    assert resumed[0] == straight[0]
    assert [name for name, value in straight[1].items() if not torch.equal(value, resumed[1][name])] == []


def test_the_kept_epoch_is_the_first_with_the_best_validation(make_sweep: Callable[..., Any], tmp_path: Path) -> None:
    cell = make_sweep("all").cells["all"]

    log, _ = trained(cell, tmp_path / "work", TrainConfig(batch_size=8, select_by="mIoU"))

    best = max(log.validation.values())
    assert log.selected_epoch == min(epoch for epoch, value in log.validation.items() if value == best)
    assert set(log.validation) == set(range(1, EPOCHS + 1))


def test_training_leaves_the_start_method_of_processes_alone(
    make_sweep: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = multiprocessing.get_start_method()
    multiprocessing.set_start_method("spawn", force=True)
    try:
        trained(make_sweep("all").cells["all"], tmp_path / "work", TrainConfig(batch_size=16))

        assert multiprocessing.get_start_method() == "spawn"
    finally:
        multiprocessing.set_start_method(before, force=True)

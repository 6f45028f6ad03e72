"""Tests of one stage of training: wherever it is interrupted, it ends with the same weights."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from vmrbench.config import TrainConfig
from vmrbench.engine.runner import _Watch
from vmrbench.engine.splits import split_of
from vmrbench.engine.stages import untrimmed_arm
from vmrbench.engine.train import Stage, TrainLog, train

EPOCHS = 5


class Interrupted(BaseException):
    """Not an error that anything catches."""


def settings(validate_every: int, ema: float = 0.0) -> TrainConfig:
    return TrainConfig(batch_size=8, validate_every=validate_every, select_by="mIoU", ema=ema)


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


@pytest.fixture(scope="module")
def straight(make_sweep: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What uninterrupted training gives, by epochs between validations and share of the moving average."""
    cell, folder = make_sweep("all").cells["all"], tmp_path_factory.mktemp("straight")
    cases = ((1, 0.0), (2, 0.0), (1, 0.9))
    return {case: trained(cell, folder / f"{case[0]}-{case[1]}", settings(*case)) for case in cases}


# A hook of the engine, the number of finished epochs, epochs between validations, and share of the moving average.
@pytest.mark.slow
@pytest.mark.parametrize(
    ("hook", "epoch", "every", "ema"),
    [
        ("before_train_epoch", 3, 1, 0.0),
        ("after_train_epoch", 2, 1, 0.0),
        ("after_val_epoch", 2, 1, 0.0),
        ("after_val_epoch", 5, 1, 0.0),
        ("after_val_epoch", 4, 2, 0.0),
        ("after_val_epoch", 5, 2, 0.0),
        ("before_train_epoch", 3, 1, 0.9),
        ("after_val_epoch", 4, 1, 0.9),
    ],
)
def test_an_interrupted_stage_ends_as_a_straight_one(
    make_sweep: Callable[..., Any],
    straight: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    hook: str,
    epoch: int,
    every: int,
    ema: float,
) -> None:
    cell = make_sweep("all").cells["all"]
    undisturbed = getattr(_Watch, hook)

    def interrupt(self: Any, runner: Any, *given: Any, **named: Any) -> None:
        if runner.epoch == epoch:
            raise Interrupted
        undisturbed(self, runner, *given, **named)

    with monkeypatch.context() as broken:
        broken.setattr(_Watch, hook, interrupt)
        with pytest.raises(Interrupted):
            trained(cell, tmp_path / "first", settings(every, ema))
    (tmp_path / "first").rename(tmp_path / "second")
    log, weights = trained(cell, tmp_path / "second", settings(every, ema))

    expected_log, expected = straight[every, ema]
    assert log == expected_log
    assert [name for name, value in expected.items() if not torch.equal(value, weights[name])] == []


def test_the_kept_epoch_is_the_first_with_the_best_validation(make_sweep: Callable[..., Any], tmp_path: Path) -> None:
    cell = make_sweep("all").cells["all"]

    log, _ = trained(cell, tmp_path / "work", settings(1))

    best = max(log.validation.values())
    assert log.selected_epoch == min(epoch for epoch, value in log.validation.items() if value == best)
    assert set(log.validation) == set(range(1, EPOCHS + 1))


def test_the_kept_weights_are_the_moving_average_at_the_kept_epoch(
    make_sweep: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell = make_sweep("all").cells["all"]
    average = {name: value.clone() for name, value in untrimmed_arm(cell).state_dict().items()}
    after_epoch: dict[int, dict[str, torch.Tensor]] = {}
    undisturbed = _Watch.after_train_iter

    def follow(self: Any, runner: Any, *given: Any, **named: Any) -> None:
        for name, value in runner.model.arm.state_dict().items():
            average[name] = 0.5 * average[name] + 0.5 * value
        after_epoch[runner.epoch + 1] = dict(average)
        undisturbed(self, runner, *given, **named)

    monkeypatch.setattr(_Watch, "after_train_iter", follow)

    log, weights = trained(cell, tmp_path / "work", settings(1, ema=0.5))

    torch.testing.assert_close(weights, after_epoch[log.selected_epoch])


def test_a_backbone_hears_how_much_of_the_base_epochs_is_done(
    make_sweep: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell, heard = make_sweep("all").cells["all"], []
    backbone = type(untrimmed_arm(cell).backbone)
    monkeypatch.setattr(backbone, "set_progress", lambda _, share: heard.append(share), raising=False)

    trained(cell, tmp_path / "work", replace(settings(1), base_epochs=4))

    assert heard == [0.0, 0.25, 0.5, 0.75, 1.0]


def test_training_leaves_the_start_method_of_processes_alone(
    make_sweep: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = multiprocessing.get_start_method()
    multiprocessing.set_start_method("spawn", force=True)
    try:
        trained(make_sweep("all").cells["all"], tmp_path / "work", settings(1))

        assert multiprocessing.get_start_method() == "spawn"
    finally:
        multiprocessing.set_start_method(before, force=True)

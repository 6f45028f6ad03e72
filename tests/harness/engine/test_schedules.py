"""Tests of the learning rate, step by step, in both stages."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.optim import OptimWrapper

from vmrbench.config import TrainConfig
from vmrbench.engine.runner import _schedule
from vmrbench.engine.train import Stage

EPOCHS, STEPS = 4, 10


def rates(epochs_before: int = 0, **settings: Any) -> list[float]:
    """The learning rate of every step of a stage of 4 epochs of 10 steps; the full rate is 1."""
    stage = Stage(
        name="any",
        epochs=EPOCHS,
        seed=0,
        settings=TrainConfig(learning_rate=1.0, **settings),
        device=torch.device("cpu"),
        precision="fp32",
        folder=Path(),
        epochs_before=epochs_before,
    )
    optimizer = OptimWrapper(torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0))
    schedulers = _schedule(optimizer, EPOCHS * STEPS, stage)
    found = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch asks for a step of the optimiser first
        for _ in range(EPOCHS * STEPS):
            found.append(optimizer.get_lr()["lr"][0])
            for scheduler in schedulers:
                scheduler.step()
    return found


def test_a_constant_rate_without_warm_up_is_the_full_rate_throughout() -> None:
    assert rates(schedule="constant", warmup_share=0.0) == [1.0] * 40


def test_a_warm_up_rises_in_a_line_from_a_hundredth() -> None:
    found = rates(schedule="constant", warmup_share=0.1)

    assert found[:4] == pytest.approx([0.01, 0.34, 0.67, 1.0])
    assert found[4:] == pytest.approx([1.0] * 36)


def test_a_linear_rate_falls_to_a_hundredth() -> None:
    found = rates(schedule="linear", warmup_share=0.0)

    assert found == pytest.approx([1.0 - 0.99 * step / 39 for step in range(40)])


def test_a_cosine_rate_passes_half_way_in_the_middle() -> None:
    found = rates(schedule="cosine", warmup_share=0.0)

    assert (found[0], found[20]) == pytest.approx((1.0, 0.505))
    assert found[39] < 0.02


def test_a_step_leaves_a_tenth_after_its_epoch() -> None:
    assert rates(schedule="step", drop_epoch=3, warmup_share=0.0) == pytest.approx([1.0] * 30 + [0.1] * 10)


def test_the_epochs_of_an_earlier_stage_count_for_a_step() -> None:
    assert rates(2, schedule="step", drop_epoch=3, warmup_share=0.0) == pytest.approx([1.0] * 10 + [0.1] * 30)
    assert rates(5, schedule="step", drop_epoch=3, warmup_share=0.0) == pytest.approx([0.1] * 40)


def test_a_step_during_the_warm_up_is_multiplied_with_it() -> None:
    found = rates(schedule="step", drop_epoch=1, warmup_share=0.5)

    assert found[9] == pytest.approx(0.01 + 0.99 * 9 / 19)
    assert found[10] == pytest.approx((0.01 + 0.99 * 10 / 19) / 10)
    assert found[20:] == pytest.approx([0.1] * 20)

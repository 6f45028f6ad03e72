"""What an arm hides at evaluation, and what a gradient limit of zero means."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from vmrbench.config.settings import TrainConfig
from vmrbench.engine.arm import Arm
from vmrbench.engine.runner import _optimizer
from vmrbench.testing.factories import make_batch
from vmrbench.trim.fill import ConcatZero
from vmrbench.types import Batch, TrimDecision


class Spy(nn.Module):
    """A trimmer and a backbone in one, which note whether they were shown labels."""

    def __init__(self) -> None:
        super().__init__()
        self.shown: list[bool] = []

    def select(self, batch: Batch, access: object) -> TrimDecision:
        self.shown.append(batch.moments is not None)
        return TrimDecision(keep=batch.clip_mask)

    def forward(self, batch: Batch) -> None:
        self.shown.append(batch.moments is not None)


@pytest.mark.parametrize(
    ("training", "reads_labels", "shown"),
    [(False, False, ([False], [False])), (False, True, ([True], [False])), (True, False, ([True], [True]))],
)
def test_labels_are_withheld_at_evaluation(training: bool, reads_labels: bool, shown: Any) -> None:
    trimmer, backbone = Spy(), Spy()
    arm = Arm(trimmer, ConcatZero(16, 8), backbone, reads_labels=reads_labels).train(training)

    arm(make_batch([4, 3]))

    assert (trimmer.shown, backbone.shown) == shown


@pytest.mark.parametrize(("clip_norm", "moved"), [(0.0, 30.0), (1.0, 1.0)])
def test_clip_norm_zero_is_no_limit(clip_norm: float, moved: float) -> None:
    layer = nn.Linear(1, 1, bias=False)
    settings = TrainConfig(clip_norm=clip_norm)
    wrapper = _optimizer(layer, SimpleNamespace(settings=settings, precision="fp32", selector_only=False))  # type: ignore[arg-type]

    wrapper.update_params((30 * layer.weight).sum())

    # The first moment of AdamW after one step is a tenth of the gradient that reached it.
    state = wrapper.optimizer.state[layer.weight]
    assert float(torch.as_tensor(state["exp_avg"]).abs()) == pytest.approx(0.1 * moved, rel=1e-4)

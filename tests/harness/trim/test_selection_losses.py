"""What selectors learn from, worked out by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from vmrbench.testing.factories import make_batch
from vmrbench.trim.selection_losses import budget_loss, inside_loss, teacher_loss, truth_loss
from vmrbench.types import DistillTargets, TrimDecision


def test_budget_loss_by_hand() -> None:
    # Four real clips; step one takes one, step two two of them: shares 1/4 and 2/4, in all 3/4; target 1/2.
    steps = torch.tensor([[[1.0, 0, 0, 0, 0], [0, 1.0, 1.0, 0, 0]]])
    decision = TrimDecision(keep=steps.sum(1) > 0, soft=steps.sum(1), steps=steps)
    mask = torch.tensor([[True, True, True, True, False]])

    loss = budget_loss(decision, mask, 0.5)

    assert loss.item() == pytest.approx((0.25**2 + 0.0 + 0.25**2) / 3)


def test_the_teacher_loss_is_lowest_where_logits_follow_the_teacher() -> None:
    teacher = DistillTargets(saliency=torch.tensor([[4.0, -4.0, -4.0]]))
    mask = torch.ones(1, 3, dtype=torch.bool)

    def loss_at(logits: list[float]) -> float:
        decision = TrimDecision(keep=mask, logits=torch.tensor([[logits]]))
        return float(teacher_loss(decision, teacher, mask))

    assert loss_at([3.0, -3.0, -3.0]) < loss_at([0.0, 0.0, 0.0]) < loss_at([-3.0, 3.0, 3.0])


def test_the_truth_loss_by_hand() -> None:
    # The moments are the second and third clip; the third step is even over real clips, and padding counts nothing.
    batch = make_batch([4, 3])
    good, even = [-50.0, 0.0, 0.0, -50.0], [0.0, 0.0, 0.0, 0.0]
    decision = TrimDecision(keep=batch.clip_mask, logits=torch.tensor([[good, even], [good, even]]))

    loss = truth_loss(decision, batch)

    # KL of an even pair from itself is 0; from an even four or three it is log 4 or log 3, less log 2.
    assert float(loss) == pytest.approx((0 + math.log(4 / 2) + 0 + math.log(3 / 2)) / 4, abs=1e-5)


def test_a_sample_whose_moment_meets_no_clip_teaches_nothing() -> None:
    batch = make_batch([4, 4])
    batch = replace(batch, moments=(batch.moments[0], torch.tensor([[90.0, 95.0]])))
    logits = torch.randn(2, 1, 4, generator=torch.Generator().manual_seed(0)).requires_grad_()

    truth_loss(TrimDecision(keep=batch.clip_mask, logits=logits), batch).backward()

    assert logits.grad[0].abs().sum() > 0
    assert not logits.grad[1].any()


def test_the_inside_loss_weighs_positives_and_extends_the_moment_by_a_tenth() -> None:
    # Clips of 1 s; ten of them are inside, so one more counts on each side; two are outside.
    batch = replace(make_batch([14], clip_seconds=1.0), moments=(torch.tensor([[2.0, 12.0]]),))
    logits = torch.full((1, 14), 1.0)

    loss = inside_loss(logits, batch, positive_weight=3.0)

    assert float(loss) == pytest.approx((12 * 3 * math.log1p(math.exp(-1)) + 2 * math.log1p(math.exp(1))) / 14)

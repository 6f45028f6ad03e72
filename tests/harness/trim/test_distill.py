"""Distillation losses by hand."""

from __future__ import annotations

import math

import pytest
import torch

from vmrbench.trim.distill import candidate_loss, embedding_loss, highlight_loss
from vmrbench.types import DistillTargets

MASK = torch.tensor([[True, True, False]])


def test_a_term_that_one_model_does_not_offer_is_left_out() -> None:
    nothing, all_of_it = DistillTargets(), DistillTargets(saliency=torch.zeros(1, 3), embedding=torch.zeros(1, 3, 2))

    assert highlight_loss(nothing, all_of_it, MASK) is None
    assert embedding_loss(all_of_it, nothing, MASK) is None
    assert candidate_loss(all_of_it, all_of_it) is None


def test_highlight_loss_is_a_mean_over_real_clips() -> None:
    student = DistillTargets(saliency=torch.tensor([[0.0, 0.0, 50.0]]))
    teacher = DistillTargets(saliency=torch.tensor([[3.0, -1.0, 0.0]]))

    # At probability one half the cross-entropy is log 2 whatever the target; the padded clip does not count.
    assert highlight_loss(student, teacher, MASK).item() == pytest.approx(math.log(2))


def test_embedding_loss_is_the_mean_absolute_difference() -> None:
    student = DistillTargets(embedding=torch.tensor([[[1.0, 3.0], [0.0, 0.0], [9.0, 9.0]]]))
    teacher = DistillTargets(embedding=torch.zeros(1, 3, 2))

    assert embedding_loss(student, teacher, MASK).item() == pytest.approx((2.0 + 0.0) / 2)


def test_candidate_loss_is_the_divergence_over_live_candidates() -> None:
    mask = torch.tensor([True, True, False])
    student = DistillTargets(candidates=torch.tensor([[0.0, 0.0, 99.0]]))
    teacher = DistillTargets(candidates=torch.tensor([[math.log(3.0), 0.0, -99.0]]), candidate_mask=mask)

    # KL of (3/4, 1/4) from (1/2, 1/2).
    expected = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    assert candidate_loss(student, teacher).item() == pytest.approx(expected, rel=1e-5)


def test_slots_are_matched_by_their_spans_before_they_are_compared() -> None:
    spans = torch.tensor([[[0.0, 0.2], [0.6, 1.0]]])
    logits = torch.tensor([[2.0, -2.0]])
    teacher = DistillTargets(candidates=logits, candidate_spans=spans)
    swapped = DistillTargets(candidates=logits.flip(1), candidate_spans=spans.flip(1))

    assert candidate_loss(swapped, teacher).item() == pytest.approx(0.0, abs=1e-6)


def test_the_teacher_gets_no_gradient() -> None:
    logits = torch.zeros(1, 3, requires_grad=True)
    student, teacher = DistillTargets(saliency=torch.ones(1, 3)), DistillTargets(saliency=logits)

    assert not highlight_loss(student, teacher, MASK).requires_grad

"""Contrast of ranks and negative pairs, against a slow and obvious second implementation and by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from vmrbench.parts.ranked_saliency import (
    NegativePairs,
    SaliencyLabels,
    graded_saliency_loss,
    negative_pair_loss,
    rank_contrast,
    rank_contrast_apart,
)
from vmrbench.parts.saliency import SaliencyPairs, saliency_hinge


def test_contrast_of_ranks_by_hand() -> None:
    scores, grades = torch.tensor([[1.0, 0.0, 9.0]]), torch.tensor([[2.0, 0.0, 0.0]])
    mask = torch.tensor([[True, True, False]])

    loss = rank_contrast(scores, grades, mask, temperature=0.5)

    # Grades 1 and 2 each have the first clip as positive, with a share of e^2 against 1; padding counts nowhere.
    assert loss.item() == pytest.approx(2 * math.log(1 + math.exp(-2)) / 12, rel=1e-5)


def test_contrast_of_ranks_equals_a_loop_over_samples_and_grades() -> None:
    generator = torch.Generator().manual_seed(0)
    scores, grades = (
        torch.randn(4, 7, generator=generator),
        torch.randint(0, 13, (4, 7), generator=generator).float(),
    )
    grades[2] = 0
    mask = torch.arange(7) < torch.tensor([7, 5, 6, 1])[:, None]

    loss = rank_contrast(scores, grades * mask, mask)

    assert loss.item() == pytest.approx(_slowly(scores, grades * mask, mask), rel=1e-5)


def test_without_any_grade_there_is_no_contrast() -> None:
    assert rank_contrast(torch.randn(2, 3), torch.zeros(2, 3), torch.ones(2, 3, dtype=torch.bool)).item() == 0


def test_negative_pairs_by_hand() -> None:
    negatives = NegativePairs(scores=torch.zeros(2, 3), mask=torch.tensor([[True, True, False], [False] * 3]))

    # Two clips of one of two samples, each as likely as not.
    assert negative_pair_loss(negatives).item() == pytest.approx(math.log(2))


def test_a_negative_pair_that_is_none_changes_nothing() -> None:
    scores, clip_mask = torch.randn(1, 3), torch.ones(1, 3, dtype=torch.bool)
    place = torch.tensor([[0]])
    pairs = SaliencyPairs(positive=place, negative=place + 1, valid=place == 0)
    labels = SaliencyLabels(pairs=pairs, grades=torch.tensor([[3.0, 0.0, 1.0]]))
    none = NegativePairs(scores=torch.randn(1, 3), mask=~clip_mask)

    loss = graded_saliency_loss(scores, clip_mask, labels, 0.2, none)

    assert loss.item() == pytest.approx(graded_saliency_loss(scores, clip_mask, labels, 0.2).item())
    assert loss.item() > saliency_hinge(scores, pairs, 0.2).item()


def test_a_batch_of_no_negative_pairs_costs_nothing() -> None:
    assert negative_pair_loss(NegativePairs(scores=torch.zeros(0, 3), mask=torch.zeros(0, 3) > 0)).item() == 0


def test_contrast_apart_adds_the_means_of_samples_with_and_without_a_negative_pair() -> None:
    generator = torch.Generator().manual_seed(0)
    scores, negative = torch.randn(3, 4, generator=generator), torch.randn(1, 4, generator=generator)
    grades, mask = torch.randint(0, 13, (3, 4), generator=generator).float(), torch.ones(3, 4, dtype=torch.bool)
    with_pair = torch.tensor([False, True, False])

    loss = rank_contrast_apart(scores, grades, mask, with_pair, negative)

    paired = _slowly(
        torch.cat([scores[1:2], negative], dim=1),
        torch.cat([grades[1:2], torch.zeros(1, 4)], dim=1),
        mask[:1].repeat(1, 2),
    )
    assert loss.item() == pytest.approx(paired + _slowly(scores[::2], grades[::2], mask[::2]), rel=1e-5)


def _slowly(scores: Tensor, grades: Tensor, mask: Tensor) -> float:
    total = 0.0
    for row in range(len(scores)):
        real = scores[row][mask[row]] / 0.5
        shares = real - real.logsumexp(0)
        for grade in range(1, 12):
            positive = shares[grades[row][mask[row]] >= grade]
            if len(positive):
                total -= float(positive.mean())
    return total / len(scores) / 12

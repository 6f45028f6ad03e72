"""Saliency pairs and their hinge."""

from __future__ import annotations

import pytest
import torch

from vmrbench.parts.saliency import SaliencyPairs, saliency_hinge, saliency_pairs

SHARE = torch.tensor([[0.0, 0.1, 1.0, 0.6, 0.0, 0.0, 0.0]])
MASK = torch.tensor([[True, True, True, True, True, True, False]])


def test_pairs_take_clips_inside_and_outside_and_never_padding() -> None:
    torch.manual_seed(0)

    pairs = saliency_pairs(SHARE, MASK, 400)

    # Clip 1 lies in the moment by a tenth: neither inside (less than half of the best) nor outside.
    assert set(pairs.positive.unique().tolist()) == {2, 3}
    assert set(pairs.negative.unique().tolist()) == {0, 4, 5}
    assert pairs.valid.all()


def test_every_clip_is_drawn_about_equally_often() -> None:
    torch.manual_seed(0)

    counts = saliency_pairs(SHARE, MASK, 3000).negative.flatten().bincount(minlength=7)

    # 1,000 expected of each, with a standard deviation of 26.
    assert all(abs(int(counts[place]) - 1000) < 120 for place in (0, 4, 5))


def test_a_video_that_is_all_moment_has_no_pair() -> None:
    assert not saliency_pairs(torch.ones(1, 7), MASK, 2).valid.any()


def test_hinge_by_hand() -> None:
    pairs = SaliencyPairs(
        positive=torch.tensor([[0, 1]]), negative=torch.tensor([[2, 2]]), valid=torch.tensor([[True, True]])
    )

    loss = saliency_hinge(torch.tensor([[1.0, 0.1, 0.0]]), pairs, 0.2)

    # The first pair is satisfied (gap 1.0), the second misses the margin by 0.1: twice the mean of 0 and 0.1.
    assert loss.item() == pytest.approx(0.1)


def test_a_missing_pair_counts_as_satisfied() -> None:
    pairs = SaliencyPairs(positive=torch.tensor([[0]]), negative=torch.tensor([[1]]), valid=torch.tensor([[False]]))

    assert saliency_hinge(torch.tensor([[0.0, 5.0]]), pairs, 0.2).item() == 0.0

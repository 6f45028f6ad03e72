from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from vmrbench.parts.near_boundaries import near_boundaries, near_boundary_loss


def _mask(real: int, length: int) -> Tensor:
    return (torch.arange(length) < real)[None]


def test_clips_are_near_a_boundary_by_a_share_of_the_moment() -> None:
    near = near_boundaries([torch.tensor([[0.3, 0.7]])], _mask(20, 20))

    # 6..14 of 20 clips, 8 long: middles in 4..6.8 are near the start, those in 13.2..16 near the end.
    assert near[0, :, 0].nonzero().flatten().tolist() == [4, 5, 6]
    assert near[0, :, 1].nonzero().flatten().tolist() == [13, 14, 15]


def test_every_moment_has_its_own_boundaries() -> None:
    near = near_boundaries([torch.tensor([[0.0, 0.2], [0.6, 1.0]]), torch.zeros(0, 2)], _mask(10, 10).expand(2, -1))

    # 0..2 and 6..10 of 10 clips: ends in 1.8..2.5 and 9.6..11, starts in -0.5..0.2 and 5..6.4.
    assert near[0, :, 0].nonzero().flatten().tolist() == [5]
    assert near[0, :, 1].nonzero().flatten().tolist() == [2]
    assert not near[1].any()


def test_fractions_are_of_the_real_length_but_officially_of_the_padded_one() -> None:
    moments, mask = [torch.tensor([[0.3, 0.7]])], _mask(20, 30)

    here, official = (near_boundaries(moments, mask, official_padding=flag)[0, :, 0] for flag in (False, True))

    assert here.nonzero().flatten().tolist() == [4, 5, 6]
    assert official.nonzero().flatten().tolist() == [6, 7, 8, 9]


@pytest.mark.parametrize(("official_padding", "others"), [(False, 3), (True, 5)])
def test_loss_of_near_clips_and_others_by_hand(official_padding: bool, others: int) -> None:
    probability = torch.tensor([0.5, 0.25, 0.25, 0.5, 0.125])
    features = probability.atanh()[None, :, None, None].expand(1, 5, 2, 3)
    near = torch.tensor([True, False, False, False, False])[None, :, None].expand(1, 5, 2)

    loss = near_boundary_loss(features, near, _mask(4, 5), official_padding=official_padding)

    # The official count of the others holds the padded clip twice.
    outside = -(2 * math.log(0.75) + math.log(0.5)) / others
    assert loss.item() == pytest.approx(0.5 * (math.log(2) + outside))

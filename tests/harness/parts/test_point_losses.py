"""Losses of points against values worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch

from vmrbench.parts.point_heads import point_spans, pyramid_points
from vmrbench.parts.point_losses import distance_iou_loss, point_targets, smoothed_focal_loss

HERE = torch.zeros(0).device


def test_points_of_a_level_stand_a_stride_apart_and_learn_moments_of_its_length() -> None:
    points = pyramid_points([4, 2, 1], 4.0, 0.5, HERE)

    assert points.place.tolist() == [0.5, 1.5, 2.5, 3.5, 0.5, 2.5, 0.5]
    assert points.shortest.tolist() == [0.0] * 4 + [2.0] * 2 + [4.0]
    assert points.longest.tolist() == [4.0] * 4 + [8.0] * 2 + [math.inf]


def test_offsets_are_in_strides() -> None:
    points = pyramid_points([2, 1], 4.0, 0.5, HERE)

    spans = point_spans(torch.tensor([[[0.5, 1.0], [0.0, 0.0], [0.25, 2.0]]]), points)

    assert spans[0].tolist() == [[0.0, 1.5], [1.5, 1.5], [0.0, 4.5]]


def test_only_points_near_the_middle_answer() -> None:
    points = pyramid_points([8], 4.0, 0.5, HERE)

    answers, _ = point_targets(points, torch.ones(1, 8, dtype=torch.bool), [torch.tensor([[1.0, 6.0]])], 1.5)

    # The middle is 3.5; points at 2.5, 3.5 and 4.5 are less than 1.5 away.
    assert answers[0].nonzero().flatten().tolist() == [2, 3, 4]


def test_padded_points_and_queries_without_a_moment_have_no_answer() -> None:
    points = pyramid_points([8], 4.0, 0.5, HERE)
    mask = torch.arange(8) < torch.tensor([[3], [8]])

    answers, _ = point_targets(points, mask, [torch.tensor([[1.0, 6.0]]), torch.zeros(0, 2)], 1.5)

    assert answers[0].nonzero().flatten().tolist() == [2]
    assert not answers[1].any()


def test_distance_iou_loss_adds_the_distance_of_the_middles() -> None:
    found, wanted = torch.tensor([[[0.0, 4.0], [0.0, 1.0]]]), torch.tensor([[[2.0, 6.0], [5.0, 6.0]]])

    loss = distance_iou_loss(found, wanted, torch.tensor([[True, False]]))

    # IoU 2 / 6; middles 2 and 4 are 2 apart on a hull of 6.
    assert float(loss) == pytest.approx(1 - 2 / 6 + (2 / 6) ** 2)


def test_focal_loss_counts_an_even_chance_a_quarter_of_its_entropy() -> None:
    logits, yes = torch.zeros(1, 2), torch.tensor([[True, False]])

    loss = smoothed_focal_loss(logits, yes, torch.tensor([[True, True]]), 0.0, 0.25)

    assert float(loss) == pytest.approx((0.25 + 0.75) * 0.5**2 * math.log(2))


def test_focal_loss_of_padding_is_nothing() -> None:
    logits = torch.tensor([[5.0, -5.0]])

    loss = smoothed_focal_loss(logits, logits > 0, torch.tensor([[False, False]]), 0.2, 0.5)

    assert float(loss) == 0.0

"""What the points of a pyramid are taught: which of them answer for a moment, and how far it reaches."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from vmrbench.parts.point_heads import Points
from vmrbench.spans import distance_iou


@torch.no_grad()
def point_targets(
    points: Points, point_mask: Tensor, moments: Sequence[Tensor], radius: float
) -> tuple[Tensor, Tensor]:
    """Which points answer for a true moment, and for which.

    A point does if it lies inside the moment, less than `radius` strides from its middle, and the moment is of the
    length that its level is taught. Of several such moments it takes the shortest.

    Args:
        points: P points.
        point_mask: [B, P] true for real points.
        moments: for each sample its true moments [M, 2] on the clip axis; M may be 0.
        radius: see above, in strides.

    Returns:
        [B, P] true for points that answer, and [B, P, 2] their moments; what the others hold means nothing.

    Source:
        Zhang, Wu, Li, ActionFormer, 2022, section 3.3, and Mu, Mo, Li, SnAG, 2024.
    """
    answers, spans = [], []
    for sample_moments, mask in zip(moments, point_mask, strict=True):
        # A moment of no length holds no point, so it can stand in for "none".
        truth = torch.cat([sample_moments, points.place.new_zeros(1, 2)])
        fits = _fits(points, truth, radius) & mask[:, None]
        length = (truth[:, 1] - truth[:, 0]).expand_as(fits).masked_fill(~fits, torch.inf)
        answers.append(fits.any(1))
        spans.append(truth[length.argmin(1)])
    return torch.stack(answers), torch.stack(spans)


def smoothed_focal_loss(
    logits: Tensor, answers: Tensor, point_mask: Tensor, smoothing: float, balance: float
) -> Tensor:
    """Sum over real points of the focal loss (exponent 2) against labels moved towards one half.

    Args:
        logits: [B, P].
        answers: [B, P] true where the answer is yes.
        point_mask: [B, P] true for points that count.
        smoothing: 0 leaves labels 0 and 1; s makes them s / 2 and 1 - s / 2.
        balance: weight of yes; that of no is 1 - balance.

    Source:
        Lin et al., Focal Loss for Dense Object Detection, 2017.
    """
    wanted = answers.to(logits.dtype) * (1 - smoothing) + smoothing / 2
    likely = logits.sigmoid()
    missed = likely * (1 - wanted) + (1 - likely) * wanted
    weight = balance * wanted + (1 - balance) * (1 - wanted)
    entropy = F.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
    return (weight * missed.square() * entropy * point_mask).sum()


def distance_iou_loss(found: Tensor, wanted: Tensor, answers: Tensor) -> Tensor:
    """Sum of one minus the distance IoU over points that answer.

    Args:
        found, wanted: [B, P, 2] start and end in the same unit.
        answers: [B, P] true for the points that count.
    """
    return (1 - distance_iou(found[answers][:, None], wanted[answers][:, None])).sum()


def _fits(points: Points, truth: Tensor, radius: float) -> Tensor:
    """[P, M] which points answer for which of truth [M, 2]."""
    place, start, end = points.place[:, None], truth[:, 0], truth[:, 1]
    near = radius * points.stride[:, None]
    middle = (start + end) / 2
    inside = (place > torch.maximum(start, middle - near)) & (place < torch.minimum(end, middle + near))
    farther = torch.maximum(place - start, end - place)
    return inside & (farther >= points.shortest[:, None]) & (farther < points.longest[:, None])

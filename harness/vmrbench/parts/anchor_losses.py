"""Losses of clips that each predict a moment: is the clip inside one, and where does that start and end."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from vmrbench.spans import generalised_iou


def anchor_span_losses(found: Tensor, wanted: Tensor, inside: Tensor) -> tuple[Tensor, Tensor]:
    """Smooth L1 distance of both ends together, and 1 - generalised IoU; means over the clips inside, 0 without any.

    Args:
        found, wanted: [B, L, 2] start and end.
        inside: [B, L] true for a clip that belongs to a moment.
    """
    found, wanted = found[inside], wanted[inside]
    count = max(len(found), 1)
    overlap = generalised_iou(found[:, None], wanted[:, None])
    return F.smooth_l1_loss(found, wanted, reduction="sum") / count, (1 - overlap).sum() / count


def anchor_label_loss(logits: Tensor, inside: Tensor, clip_mask: Tensor, outside: float) -> Tensor:
    """Cross-entropy of "inside a moment", mean over real clips (not divided by the weights' sum).

    Args:
        logits: [B, L].
        inside: [B, L] true for a clip that belongs to a moment.
        clip_mask: [B, L] true for real clips.
        outside: weight of a clip outside.
    """
    weight, wanted = torch.where(inside, 1.0, outside) * clip_mask, inside.to(logits.dtype)
    return F.binary_cross_entropy_with_logits(logits, wanted, weight, reduction="sum") / clip_mask.sum()

"""Clips that are near the start or the end of a moment, told by features of their own."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

INSIDE, OUTSIDE = 0.1, 0.25  # How far "near" reaches into a moment and out of it, as shares of its length.


def near_boundaries(moments: Sequence[Tensor], clip_mask: Tensor, *, official_padding: bool = False) -> Tensor:
    """[B, L, 2] true for a clip whose middle is near the start, and near the end, of a true moment.

    Args:
        moments: for each sample its true moments [M, 2], start and end as fractions of the clip axis.
        clip_mask: [B, L] true for real clips.
        official_padding: take the fractions of the padded length, as published, which is right without padding only.
    """
    length = torch.full_like(clip_mask[:, 0], clip_mask.shape[1], dtype=torch.long)
    count = length if official_padding else clip_mask.sum(1)
    # No clip is near a moment that is not a number.
    padded = pad_sequence(list(moments), batch_first=True, padding_value=torch.nan)
    start, end = (padded * count[:, None, None]).unbind(-1)
    width = end - start
    middle = torch.arange(clip_mask.shape[1], device=clip_mask.device)[:, None] + 0.5
    bounds = (
        (start - width * OUTSIDE, start + width * INSIDE),
        (end - width * INSIDE, end + width * OUTSIDE),
    )
    near = [((middle >= low[:, None]) & (middle <= high[:, None])).any(-1) for low, high in bounds]
    return torch.stack(near, dim=-1)


def near_boundary_loss(features: Tensor, near: Tensor, clip_mask: Tensor, *, official_padding: bool = False) -> Tensor:
    """Half the mean cross-entropy of near clips plus half that of the others, averaged over start and end and samples.

    The probability of a clip is the mean of the hyperbolic tangent of its features.

    Args:
        features: [B, L, 2, D] for start and end, not negative.
        near: [B, L, 2], see `near_boundaries`.
        clip_mask: [B, L] true for real clips.
        official_padding: divide by published counts, in which padded clips are near ones or others like real clips,
            and are counted among the others once more.

    Source:
        Lee and Byun, BAM-DETR, 2024, as in its code.
    """
    real = clip_mask[..., None]
    groups = torch.stack([near, ~near])
    counts = groups.sum(2) if official_padding else (groups & real).sum(2)
    if official_padding:
        counts = counts + torch.stack([torch.zeros_like(counts[0]), (~real).sum(1).expand_as(counts[0])])
    entropy = F.binary_cross_entropy(features.tanh().mean(-1), near.to(features.dtype), reduction="none")
    means = (entropy * (groups & real)).sum(2) / counts.clamp(min=1)
    return 0.5 * means.sum(0).mean()

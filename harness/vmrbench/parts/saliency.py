"""Clip saliency as a ranking: a clip of the moment must score above a clip outside by a margin."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class SaliencyPairs:
    """P pairs a sample. positive, negative: [B, P] index of a clip; valid: [B, P] false where there is no such pair."""

    positive: Tensor
    negative: Tensor
    valid: Tensor


def saliency_pairs(scores: Tensor, share: Tensor, clip_mask: Tensor) -> SaliencyPairs:
    """Two pairs a sample, drawn from its moments without chance.

    The first pair is the hardest: the lowest-scored clip inside against the highest-scored clip outside. The second
    does not follow the scores: the middle one of the clips inside against the middle one of the clips outside.
    A clip is inside if it lies at least half as much in a moment as the clip that lies in it most, and outside if it
    touches none. A video that has no clip of either kind has no pair. Padding changes nothing.

    Args:
        scores: [B, L] saliency.
        share: [B, L] share of every clip inside a true moment, 0..1.
        clip_mask: [B, L] true for real clips.

    Returns:
        P = 2 pairs.
    """
    inside = (share > 0) & (2 * share >= share.amax(1, keepdim=True)) & clip_mask
    outside = (share <= 0) & clip_mask
    fixed = scores.detach()
    lowest = fixed.masked_fill(~inside, torch.inf).argmin(1)
    highest = fixed.masked_fill(~outside, -torch.inf).argmax(1)
    valid = inside.any(1) & outside.any(1)
    return SaliencyPairs(
        positive=torch.stack([lowest, _middle(inside)], dim=1),
        negative=torch.stack([highest, _middle(outside)], dim=1),
        valid=torch.stack([valid, valid], dim=1),
    )


def saliency_hinge(scores: Tensor, pairs: SaliencyPairs, margin: float) -> Tensor:
    """Mean over samples of twice the mean hinge of their pairs; a missing pair counts as satisfied.

    Args:
        scores: [B, L] saliency.
        pairs: what to compare.
        margin: by how much the clip inside must win.

    Source:
        Lei et al., QVHighlights, 2021, equation 2, as in its code.
    """
    gap = scores.gather(1, pairs.negative) - scores.gather(1, pairs.positive)
    return 2 * ((margin + gap).clamp(min=0) * pairs.valid).mean()


def _middle(chosen: Tensor) -> Tensor:
    """[B] index of the middle true entry of chosen [B, L], the earlier of two; 0 where there is none."""
    rank = chosen.cumsum(1)
    return ((rank == (rank[:, -1:] + 1) // 2) & chosen).int().argmax(1)

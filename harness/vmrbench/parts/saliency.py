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


def saliency_pairs(share: Tensor, clip_mask: Tensor, count: int) -> SaliencyPairs:
    """Pairs of a clip inside a moment and one outside, drawn at random at every call: for training.

    A clip is outside if it touches no moment; see `clips_inside` for the others. A video that has no clip of either
    kind has no pair.

    Args:
        share: [B, L] share of every clip inside a true moment, 0..1.
        clip_mask: [B, L] true for real clips.
        count: P, pairs a sample; drawn with replacement.

    Source:
        The training of Moment-DETR draws its easy pair so; its hard pair needs graded saliency labels. Always taking
        the worst-scored pair instead was tried: the scores collapse to a constant.
    """
    inside = clips_inside(share, clip_mask)
    outside = (share <= 0) & clip_mask
    valid = (inside.any(1) & outside.any(1))[:, None].expand(-1, count)
    return SaliencyPairs(positive=draw_clips(inside, count), negative=draw_clips(outside, count), valid=valid)


def clips_inside(share: Tensor, clip_mask: Tensor) -> Tensor:
    """[B, L] true for a clip that lies at least half as much in a moment as the clip that lies in it most."""
    return (share > 0) & (2 * share >= share.amax(1, keepdim=True)) & clip_mask


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


def draw_clips(chosen: Tensor, count: int) -> Tensor:
    """[B, P] indices of true entries of chosen [B, L], each equally likely; of any entry where none is true."""
    noise = torch.rand(len(chosen), count, chosen.shape[1], device=chosen.device)
    return noise.masked_fill(~chosen[:, None], -1).argmax(2)

"""Graded saliency: clips that annotators liked better score higher, and the clips of a negative pair score low.

A negative pair is a video with the sentence of another sample.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from vmrbench.parts.saliency import SaliencyPairs, saliency_hinge

GRADES = 12  # Three annotators of QVHighlights give 0 to 4 each.


@dataclass(frozen=True, kw_only=True)
class SaliencyLabels:
    """pairs: clips to be ranked against each other; grades: [B, L] how good every clip is, 0..12, 0 outside."""

    pairs: SaliencyPairs
    grades: Tensor


@dataclass(frozen=True, kw_only=True)
class NegativePairs:
    """scores: [B, L] saliency of every clip for another sample's sentence; mask: [B, L] true where it should be low."""

    scores: Tensor
    mask: Tensor


def graded_saliency_loss(
    scores: Tensor, clip_mask: Tensor, labels: SaliencyLabels, margin: float, negatives: NegativePairs | None = None
) -> Tensor:
    """Hinge of pairs, contrast of ranks, and cross-entropy of negative pairs, added up with equal weight.

    Args:
        scores: [B, L] saliency.
        clip_mask: [B, L] true for real clips.
        labels: what the scores should be.
        margin: of the hinge.
        negatives: None for a model without negative pairs (TR-DETR), or a batch that has none.

    Source:
        Moon et al., QD-DETR, 2023, as in its code.
    """
    hinge = saliency_hinge(scores, labels.pairs, margin)
    if negatives is None:
        return hinge + rank_contrast(scores, labels.grades, clip_mask)
    both, real = torch.cat([scores, negatives.scores], dim=1), torch.cat([clip_mask, negatives.mask], dim=1)
    grades = torch.cat([labels.grades, torch.zeros_like(labels.grades)], dim=1)
    return hinge + rank_contrast(both, grades, real) + negative_pair_loss(negatives)


def rank_contrast(scores: Tensor, grades: Tensor, mask: Tensor, temperature: float = 0.5) -> Tensor:
    """For every grade from 1 to 11: the clips of that grade or better against all clips; sum divided by 12.

    The positives' mean negative log share of a softmax over the video, averaged over samples; a sample without any
    clip of a grade counts 0 there.

    Args:
        scores: [B, N] saliency of clips.
        grades: [B, N] 0..12.
        mask: [B, N] true for real clips.
        temperature: of the softmax.
    """
    lowest = torch.finfo(scores.dtype).min
    shares = (scores / temperature).masked_fill(~mask, lowest).log_softmax(1).masked_fill(~mask, 0)
    steps = torch.arange(1, GRADES, device=grades.device, dtype=grades.dtype)
    positive = ((grades >= steps[:, None, None]) & mask).to(scores.dtype)
    mean_share = (positive * shares).sum(-1) / positive.sum(-1).clamp(min=1)
    return -mean_share.mean(1).sum() / GRADES


def rank_contrast_apart(scores: Tensor, grades: Tensor, clip_mask: Tensor, other: Tensor, negative: Tensor) -> Tensor:
    """`rank_contrast` of the samples that have a negative pair, plus that of the others, each a mean of its own.

    Args:
        scores: [B, L] saliency.
        grades: [B, L] 0..12.
        clip_mask: [B, L] true for real clips.
        other: [B] true for the N samples that have a negative pair; looked at on the host.
        negative: [N, L] saliency of their clips for another sample's sentence.

    Source:
        Moon et al., CG-DETR, 2023, as in its code.
    """
    alone, total = ~other, scores.new_zeros(())
    if len(negative):
        both, none = torch.cat([scores[other], negative], dim=1), torch.zeros_like(negative)
        total = total + rank_contrast(both, torch.cat([grades[other], none], dim=1), clip_mask[other].repeat(1, 2))
    if bool(alone.any()):
        total = total + rank_contrast(scores[alone], grades[alone], clip_mask[alone])
    return total


def negative_pair_loss(negatives: NegativePairs) -> Tensor:
    """Cross-entropy of "not salient", summed over clips and averaged over the batch; 0 for a batch of none."""
    return (F.softplus(negatives.scores) * negatives.mask).sum() / max(len(negatives.scores), 1)

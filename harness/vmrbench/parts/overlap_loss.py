"""Candidates scored by how much they overlap the truth."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from vmrbench.spans import iou_matrix


def best_overlap(candidates: Tensor, moments: Sequence[Tensor]) -> Tensor:
    """[B, C] the largest IoU of every candidate with a true moment of its sample; 0 where a sample has none.

    Args:
        candidates: [B, C, 2] start and end.
        moments: for each sample its true moments [M, 2] in the same unit.
    """
    # A moment of no length overlaps nothing, so it can stand in for "none".
    none = candidates.new_zeros(1, 2)
    truth = pad_sequence([torch.cat([m.to(candidates.dtype), none]) for m in moments], batch_first=True)
    return iou_matrix(candidates, truth).amax(-1)


def rescaled_overlap_loss(logits: Tensor, overlap: Tensor, lowest: float, highest: float) -> Tensor:
    """Mean cross-entropy of candidates against their overlap, stretched so that lowest..highest becomes 0..1.

    Args:
        logits, overlap: [B, C].
        lowest, highest: IoU that counts as 0 and as 1.

    Source:
        Zhang et al., 2D-TAN, 2020, equations 3 and 4.
    """
    wanted = ((overlap - lowest) / (highest - lowest)).clamp(0, 1)
    return F.binary_cross_entropy_with_logits(logits, wanted)

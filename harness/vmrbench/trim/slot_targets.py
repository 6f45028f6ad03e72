"""What the slots of a DETR offer to distillation."""

from __future__ import annotations

import torch
from torch import Tensor

from vmrbench.parts.slots import Slots, slot_candidates, slot_moments
from vmrbench.trim.axis import axis_to_seconds
from vmrbench.types import Batch, DistillTargets


def slot_targets(slots: Slots, batch: Batch, *, embedding: Tensor, saliency: Tensor) -> DistillTargets:
    """Encoded clips [B, L, D], saliency [B, L], and slots with their moments as fractions of the whole video."""
    seconds = axis_to_seconds(slot_moments(slots, batch.lengths).spans, batch)
    candidates = slot_candidates(slots)
    return DistillTargets(
        embedding=embedding,
        saliency=saliency,
        candidates=candidates,
        candidate_mask=torch.ones_like(candidates, dtype=torch.bool),
        candidate_spans=seconds / batch.duration[:, None, None],
    )

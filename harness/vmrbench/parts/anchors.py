"""Anchors: moments as a centre and a width, fractions of the clip axis, that slots start from and refine."""

from __future__ import annotations

import torch
from torch import Tensor

from vmrbench.parts.position import sine_waves


def fraction_logits(fractions: Tensor, nearest: float = 1e-3) -> Tensor:
    """The inverse of a sigmoid, bounded near its ends.

    Args:
        fractions: [...] clamped to 0..1.
        nearest: how near to 0 and to 1 a fraction counts.

    Source:
        Zhu et al., Deformable DETR, 2021, as in its code. Unlike `torch.logit` with an eps, only the near end is
        bounded.
    """
    inside = fractions.clamp(0, 1)
    return (inside.clamp(min=nearest) / (1 - inside).clamp(min=nearest)).log()


def anchor_waves(anchors: Tensor, width: int) -> Tensor:
    """Sine embedding of centre and width, half of the channels each.

    Args:
        anchors: [..., 2] fractions.
        width: D, divisible by 4.

    Returns:
        [..., D]. The official QD-DETR fixes the half at 128, which is D / 2 at its only width.
    """
    return torch.cat([sine_waves(part, width // 2) for part in anchors.unbind(-1)], dim=-1)

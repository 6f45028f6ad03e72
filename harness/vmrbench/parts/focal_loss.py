"""Cross-entropy that cares less about what is right already."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def focal_loss(logits: Tensor, wanted: Tensor, balance: float = 0.25) -> Tensor:
    """Focal loss with exponent 2 of yes-or-no answers, one by one.

    Args:
        logits: [...] of yes.
        wanted: [...] 1 for yes, 0 for no, or between.
        balance: weight of yes; that of no is 1 - balance.

    Source:
        Lin et al., Focal Loss for Dense Object Detection, 2017.
    """
    likely = logits.sigmoid()
    missed = likely * (1 - wanted) + (1 - likely) * wanted
    weight = balance * wanted + (1 - balance) * (1 - wanted)
    return weight * missed.square() * F.binary_cross_entropy_with_logits(logits, wanted, reduction="none")

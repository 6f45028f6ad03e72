"""The best of many candidate moments."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from vmrbench.types import AxisMoments


def top_moments(spans: Tensor, scores: Tensor, count: int) -> AxisMoments:
    """The `count` moments of highest score, best first; overlapping ones are not thinned.

    Where there are fewer, the slots left hold no moment, so that the count depends on no other sample of a batch.

    Args:
        spans: [B, N, 2] on the clip axis.
        scores: [B, N], -inf for a candidate that is none.
        count: Q.
    """
    missing = count - scores.shape[1]
    if missing > 0:
        spans, scores = F.pad(spans, (0, 0, 0, missing)), F.pad(scores, (0, missing), value=-torch.inf)
    best = scores.topk(count, dim=1)
    chosen = spans.gather(1, best.indices[..., None].expand(-1, -1, 2))
    return AxisMoments(spans=chosen.masked_fill(best.values.isneginf()[..., None], 0), scores=best.values)

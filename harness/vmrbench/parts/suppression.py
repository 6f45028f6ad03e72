"""From many overlapping moments to a few: non-maximum suppression of a whole batch at once.

The number of steps is fixed and no value is looked at on the host.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from vmrbench.option_types import Count, Positive, Share
from vmrbench.spans import iou_matrix


@dataclass(frozen=True, kw_only=True)
class Suppression:
    """How moments are thinned.

    mode: `soft` lowers the score of what overlaps a better moment, `hard` removes it, `none` takes the best as they
    are; moments: how many are left; min_score: a score below it is none; sigma: width of the lowering; max_iou: overlap
    from which `hard` removes; voting: each moment left becomes the mean, weighted by score, of all that overlap it by
    at least this IoU (more than 1 for none; never with `none`).
    """

    mode: Literal["soft", "hard", "none"] = "soft"
    moments: Count = 5
    min_score: Share = 0.001
    sigma: Positive = 0.9
    max_iou: Share = 0.1
    voting: Share = 0.95


def suppress(spans: Tensor, scores: Tensor, how: Suppression) -> tuple[Tensor, Tensor]:
    """The best moments, best first.

    Args:
        spans: [B, C, 2] start and end in any unit.
        scores: [B, C] above 0, or -inf for no moment.
        how: see there.

    Returns:
        [B, how.moments, 2] and [B, how.moments]; a missing moment has the score -inf and the span 0 to 0.

    Source:
        Bodla et al., Soft-NMS, 2017, on one axis; voting: Gidaris and Komodakis, 2015.
    """
    left, picked, worth = scores, [], []
    for _ in range(how.moments):
        best, index = left.max(1, keepdim=True)
        span = spans.gather(1, index[..., None].expand(-1, -1, 2))
        picked.append(span)
        worth.append(best)
        left = _lowered(left, iou_matrix(span, spans)[:, 0], how).scatter(1, index, -torch.inf)
    kept, rank = torch.cat(picked, dim=1), torch.cat(worth, dim=1)
    if how.mode != "none" and how.voting <= 1:
        kept = _voted(kept, spans, scores, how.voting)
    missing = rank < how.min_score
    return kept.masked_fill(missing[..., None], 0.0), rank.masked_fill(missing, -torch.inf)


def _lowered(scores: Tensor, overlap: Tensor, how: Suppression) -> Tensor:
    """Scores [B, C] after a moment was picked that overlaps them by overlap [B, C]."""
    if how.mode == "soft":
        return scores * torch.exp(-overlap.square() / how.sigma)
    return scores.masked_fill(overlap >= how.max_iou, -torch.inf) if how.mode == "hard" else scores


def _voted(kept: Tensor, spans: Tensor, scores: Tensor, voting: float) -> Tensor:
    """[B, K, 2] each of kept [B, K, 2] moved to the mean of spans [B, C, 2] that overlap it by `voting`."""
    weight = (iou_matrix(kept, spans) >= voting) * scores.clamp(min=0)[:, None]
    total = weight.sum(-1, keepdim=True)
    return torch.where(total > 0, weight @ spans / total.clamp(min=torch.finfo(total.dtype).tiny), kept)

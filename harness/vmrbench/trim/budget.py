"""How many clips a keep ratio allows, overall and at every step of a selector."""

from __future__ import annotations

import torch
from torch import Tensor

# A ratio such as 0.3 is not a float; without this 0.3 * 10 clips would be 2.
ROUNDING = 1e-6


def clip_budget(lengths: Tensor, keep_ratio: float) -> Tensor:
    """[B] clips that may be kept: max(1, floor(ratio x clips)), and 0 for ratio 0.

    Args:
        lengths: [B] real clips of each video.
        keep_ratio: 0..1.
    """
    if keep_ratio == 0:
        return torch.zeros_like(lengths)
    return (lengths.to(torch.float64) * keep_ratio + ROUNDING).floor().long().clamp(min=1).minimum(lengths)


def most_clips(padded: int, keep_ratio: float) -> int:
    """The largest budget in a batch that is padded to `padded` clips, at least 1 where `keep_ratio` is above 0.

    Known on the host: budgets grow with the length, and no video is longer than its batch.
    """
    return int(clip_budget(torch.tensor(padded), keep_ratio))


def step_quotas(budget: Tensor, steps: int) -> Tensor:
    """[B, N] new clips that each of N steps may keep; every row sums to the budget exactly.

    Args:
        budget: [B] clips in all.
        steps: N, at least 1.

    Example:
        >>> step_quotas(torch.tensor([5, 1]), 2)
        tensor([[2, 3],
                [0, 1]])
    """
    upto = torch.arange(steps + 1, device=budget.device)[None] * budget[:, None] // steps
    return upto[:, 1:] - upto[:, :-1]


def top_clips(scores: Tensor, allowed: Tensor, quota: Tensor) -> Tensor:
    """[B, L] boolean: the `quota` best allowed clips of every row; ties go to the earlier clip.

    Args:
        scores: [B, L] higher is better.
        allowed: [B, L] clips that may be taken.
        quota: [B] how many.
    """
    order = scores.masked_fill(~allowed, -torch.inf).argsort(dim=1, descending=True, stable=True)
    places = torch.arange(order.shape[1], device=order.device).expand_as(order)
    rank = torch.empty_like(order).scatter_(1, order, places)
    return (rank < quota[:, None]) & allowed

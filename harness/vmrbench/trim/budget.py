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


def top_clips(scores: Tensor, allowed: Tensor, quota: Tensor, *, then: Tensor | None = None) -> Tensor:
    """[B, L] boolean: the `quota` best allowed clips of every row; ties go to the earlier clip.

    Args:
        scores: [B, L] finite, higher is better.
        allowed: [B, L] clips that may be taken.
        quota: [B] how many.
        then: [B, L] decides between clips of equal score, higher is better; the earlier clip is next.

    Example:
        >>> scores, allowed = torch.tensor([[1.0, 1.0, 1.0, 0.0]]), torch.ones(1, 4, dtype=torch.bool)
        >>> top_clips(scores, allowed, torch.tensor([2]), then=torch.tensor([[0.0, 2.0, 1.0, 9.0]]))
        tensor([[False,  True,  True, False]])
    """
    ranked = scores.masked_fill(~allowed, -torch.inf)
    if then is None:
        order = ranked.argsort(dim=1, descending=True, stable=True)
    else:
        # A stable sort by the second key, then one by the first, leaves equal scores in the order of the second.
        second = then.argsort(dim=1, descending=True, stable=True)
        order = second.gather(1, ranked.gather(1, second).argsort(dim=1, descending=True, stable=True))
    places = torch.arange(order.shape[1], device=order.device).expand_as(order)
    rank = torch.empty_like(order).scatter_(1, order, places)
    return (rank < quota[:, None]) & allowed

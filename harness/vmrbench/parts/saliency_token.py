"""A token made for one pair of video and query, against which the saliency of clips is measured."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

SHORTEST = 1e-3  # A single clip is its own mean; divided by its length, nothing would get a gradient of 1e12.


def saliency_token(clips: Tensor, clip_mask: Tensor, importance: Tensor, prompts: Tensor, chosen: int) -> Tensor:
    """The mean clip, plus the prompts that are most like what sets the clips apart from it.

    Args:
        clips: [B, L, D]; no gradient flows to them through the mean.
        clip_mask: [B, L] true for real clips.
        importance: [B, L] how much every clip has to do with the query, not negative; only its shares count.
        prompts: [P, D] learned.
        chosen: how many prompts join the mean, each times its likeness.

    Returns:
        [B, D].

    Source:
        Moon et al., CG-DETR, 2023, moment-adaptive saliency detector, as in its code.
    """
    real = clip_mask.to(clips.dtype)
    mean = ((clips * real[..., None]).sum(1) / real.sum(1, keepdim=True)).detach()
    apart = F.normalize(clips - mean[:, None], dim=-1, eps=SHORTEST)
    likeness = (apart @ F.normalize(prompts, dim=-1).T).softmax(-1)
    share = importance * real
    share = share / share.sum(1, keepdim=True).clamp(min=torch.finfo(share.dtype).tiny)
    value, place = (likeness * share[..., None]).sum(1).topk(chosen, dim=1)
    return mean + (value[..., None] * prompts[place]).sum(1)

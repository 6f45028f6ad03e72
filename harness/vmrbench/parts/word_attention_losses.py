"""Loss terms on the attention of clips to dummies and words: how much of it words should get, and which of them.

Source: Moon et al., CG-DETR, 2023, as in its code.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

SMALLEST_WEIGHT = 1e-6


def word_mass(attention: Tensor, query_mask: Tensor) -> Tensor:
    """[B, L] share of every clip's attention that goes to words.

    Args:
        attention: [B, L, S] weights on dummies followed by words.
        query_mask: [B, T] true for real words, the last T of the S.
    """
    words = attention[..., -query_mask.shape[1] :] * query_mask[:, None]
    return words.sum(-1).clamp(0, 1)


def mass_loss(mass: Tensor, wanted: Tensor) -> Tensor:
    """[B, L] cross-entropy of each clip's `word_mass` [B, L] with what it should be: nothing or all, [B, L] boolean.

    At most 100 a clip.
    """
    return F.binary_cross_entropy(mass, wanted.to(mass.dtype), reduction="none")


def attention_distillation(attention: Tensor, likeness: Tensor, inside: Tensor, key_mask: Tensor) -> Tensor:
    """Divergence of the attention of clips inside a moment from the softmax of a likeness, which learns nothing.

    Args:
        attention: [B, L, S] weights on dummies and words.
        likeness: [B, L, S] what they should follow.
        inside: [B, L] true for clips inside a true moment.
        key_mask: [B, S] true for dummies and real words.
    """
    wanted = likeness.detach().masked_fill(~key_mask[:, None], -torch.inf).softmax(-1)
    gap = F.kl_div((attention + SMALLEST_WEIGHT).log(), wanted, reduction="none") * key_mask[:, None]
    clip_gap = gap.sum(-1) / key_mask.sum(1)[:, None]
    return (clip_gap * inside).sum() / inside.sum().clamp(min=1)


def orthogonality_loss(tokens: Tensor) -> Tensor:
    """Mean absolute cosine between different tokens [..., N, D], over all N x N pairs; of each pair one side learns."""
    unit = F.normalize(tokens, dim=-1)
    different = 1 - torch.eye(tokens.shape[-2], dtype=tokens.dtype, device=tokens.device)
    return ((unit @ unit.detach().transpose(-1, -2)).abs() * different).mean()

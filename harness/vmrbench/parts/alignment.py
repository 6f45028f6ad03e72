"""Clips and words drawn together before they are fused: by cosines of clip and sentence, and of video and sentence."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def clip_sentence_loss(
    clips: Tensor,
    clip_mask: Tensor,
    sentences: Tensor,
    inside: Tensor,
    *,
    temperature: float = 0.07,
    official_padding: bool = False,
) -> Tensor:
    """Cross-entropy of "this clip is meant", from the cosine of clip and sentence; mean over clips.

    Args:
        clips: [B, L, D].
        clip_mask: [B, L] true for real clips.
        sentences: [B, D] mean of tokens of length 1, not scaled.
        inside: [B, L] true for clips that the sentence is about.
        temperature: of the cosines.
        official_padding: padded clips count as clips of cosine 0.

    Source:
        Sun et al., TR-DETR, 2024, as in its code.
    """
    fit = (F.normalize(clips, dim=2) @ sentences[..., None])[..., 0] * clip_mask / temperature
    entropy = F.binary_cross_entropy_with_logits(fit, inside.to(fit.dtype), reduction="none")
    return entropy.mean() if official_padding else (entropy * clip_mask).sum() / clip_mask.sum()


def video_sentence_loss(videos: Tensor, sentences: Tensor, same_video: Tensor, temperature: float = 0.07) -> Tensor:
    """Contrast of every video with the sentences of the batch, and of every sentence with its videos; their mean.

    Args:
        videos, sentences: [B, D].
        same_video: [B, B] true where two samples show the same video; such a neighbour is no negative.
        temperature: of the cosines.

    Source:
        Radford et al., CLIP, 2021, as in the code of TR-DETR, which takes every neighbour for a negative.
    """
    fit = F.normalize(sentences, dim=1) @ F.normalize(videos, dim=1).T / temperature
    own = torch.arange(len(fit), device=fit.device)
    fit = fit.masked_fill(same_video & (own[:, None] != own), torch.finfo(fit.dtype).min)
    return (F.cross_entropy(fit, own) + F.cross_entropy(fit.T, own)) / 2


def mean_of_real(rows: Tensor, row_mask: Tensor) -> Tensor:
    """[B, D] mean of rows [B, N, D] where row_mask [B, N] is true."""
    return (rows * row_mask[..., None]).sum(1) / row_mask.sum(1, keepdim=True)

"""Contrast of a salient clip with the others of its video and with other videos, by cosine with the sentence."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

LOWEST = -1e4  # In place of a cosine over temperature that must not count: nothing beside any other.


def cosines(clips: Tensor, sentences: Tensor) -> Tensor:
    """[B, L] cosine of every clip [B, L, D] with its sentence [B, D]."""
    return F.cosine_similarity(clips, sentences[:, None], dim=-1)


def salient_contrast(
    clips: Tensor, sentences: Tensor, grades: Tensor, clip_mask: Tensor, salient: Tensor, temperature: float
) -> tuple[Tensor, Tensor]:
    """Contrast within videos and between videos, over the samples whose salient clip has a grade above 0.

    Args:
        clips: [B, L, D]; sentences: [B, D].
        grades: [B, L] how salient a clip is, any scale, 0 for not at all.
        clip_mask: [B, L] true for real clips.
        salient: [B] index of the salient clip.
        temperature: of the cosines.

    Returns:
        two numbers; 0 where no sample has a salient clip.

    Source:
        Lin et al., UniVTG, 2023, equations 6 and 7.
    """
    rows = (grades.gather(1, salient[:, None])[:, 0] > 0).nonzero()[:, 0]
    if len(rows) == 0:
        nothing = 0 * sentences.sum()
        return nothing, nothing
    clips, sentences, grades, clip_mask, salient = (v[rows] for v in (clips, sentences, grades, clip_mask, salient))
    chosen = clips[torch.arange(len(rows), device=clips.device), salient]
    within = _within_videos(cosines(clips, sentences) / temperature, _rivals(grades, salient) & clip_mask, salient)
    return within, _between_videos(chosen, sentences, temperature)


def _rivals(grades: Tensor, salient: Tensor) -> Tensor:
    """[B, L] true for the salient clip and those of lower grade."""
    place = torch.arange(grades.shape[1], device=grades.device)
    return (grades < grades.gather(1, salient[:, None])) | (place == salient[:, None])


def _within_videos(fit: Tensor, rivals: Tensor, salient: Tensor) -> Tensor:
    """Negative log-likelihood of the salient clip among its rivals, plus that among clips of the same number.

    The second term compares it with the clips of its number in other videos, each by its own sentence, where those are
    rivals in their video: so it is in the official code.
    """
    fit = fit.masked_fill(~rivals, LOWEST)
    among_clips = fit.log_softmax(1).gather(1, salient[:, None])
    among_videos = fit.log_softmax(0).gather(1, salient[:, None])
    return -(among_clips + among_videos).mean()


def _between_videos(chosen: Tensor, sentences: Tensor, temperature: float) -> Tensor:
    """Negative log-likelihood of the own sentence among all, plus that of the own salient clip among all."""
    fit = F.normalize(chosen, dim=1) @ F.normalize(sentences, dim=1).T / temperature
    own = torch.arange(len(fit), device=fit.device)
    return F.cross_entropy(fit, own) + F.cross_entropy(fit.T, own)

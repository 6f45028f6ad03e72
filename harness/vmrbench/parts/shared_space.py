"""Videos, clips and sentences in one space, where those that belong together point the same way; for training."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vmrbench.parts.alignment import mean_of_real
from vmrbench.parts.heads import Mlp


@dataclass(frozen=True, kw_only=True)
class Directions:
    """videos: [B, D]; clips: [B, L, D]; sentences: [B, D]; all of length 1."""

    videos: Tensor
    clips: Tensor
    sentences: Tensor


class SharedSpace(nn.Module):
    """Heads into the space, one for videos and clips, one for sentences. width: D; inner: width inside the heads."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.video = Mlp(width, inner, inner, width)
        self.sentence = Mlp(width, inner, inner, width)

    def forward(self, videos: Tensor, clips: Tensor, sentences: Tensor) -> Directions:
        """Directions of videos [B, D], clips [B, L, D] and sentences [B, D]."""
        return Directions(
            videos=F.normalize(self.video(videos), dim=-1),
            clips=F.normalize(self.video(clips), dim=-1),
            sentences=F.normalize(self.sentence(sentences), dim=-1),
        )


def chosen_clips_loss(directions: Directions, clip_mask: Tensor, chosen: Tensor) -> Tensor:
    """How little of a softmax over the clips of a video, by cosine with its sentence, the chosen clips have.

    Negative logarithms of the chosen clips' shares, summed, over the number of all clips; mean over samples.

    Args:
        directions: of B samples.
        clip_mask: [B, L] true for clips that count.
        chosen: [B, L] true for clips that the sentence is about.

    Source:
        Xiao et al., UVCOM, 2024, the clip-text alignment of its code.
    """
    cosine = (directions.clips @ directions.sentences[..., None])[..., 0]
    shares = cosine.masked_fill(~clip_mask, torch.finfo(cosine.dtype).min).log_softmax(1)
    return -((shares * (chosen & clip_mask)).sum(1) / clip_mask.sum(1)).mean()


@torch.no_grad()
def least_similar(directions: Directions, clip_mask: Tensor, allowed: Tensor) -> Tensor:
    """[B] for every video the sentence of the batch that fits it least, by the video and by the mean of its clips.

    Args:
        directions: of B samples.
        clip_mask: [B, L] true for clips that count.
        allowed: [B, B] true where the sentence of the second may be taken for the video of the first; a video that may
            take none gets 0.

    Source:
        Xiao et al., UVCOM, 2024, as in its code.
    """
    clips = mean_of_real(directions.clips, clip_mask)
    fit = sum((rows @ directions.sentences.T).softmax(1) for rows in (directions.videos, clips))
    assert isinstance(fit, Tensor)
    return fit.masked_fill(~allowed, torch.inf).argmin(1)

"""Where a moment starts and ends, as two distributions over clips, and the moments they make."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vmrbench.parts.convolution import Pointwise, hide_padding
from vmrbench.parts.local_encoder import EPSILON, LocalEncoder
from vmrbench.parts.top_moments import top_moments
from vmrbench.types import AxisMoments

HIDDEN = -1e4  # The logit of a padded clip: far below any other, and two of them add up in half precision.


class RecurrentReader(nn.Module):
    """One LSTM reads the clips for the start, a second one reads the first for the end. width: D."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.start = nn.LSTM(width, width, batch_first=True)
        self.end = nn.LSTM(width, width, batch_first=True)

    def forward(self, clips: Tensor, clip_mask: Tensor) -> tuple[Tensor, Tensor]:
        """Two times [B, L, D], for the start and for the end."""
        start = hide_padding(self.start(clips)[0], clip_mask)
        return start, hide_padding(self.end(start)[0], clip_mask)


class EncoderReader(nn.Module):
    """One encoder reads the clips for the start, and again what it read for the end. width: D."""

    def __init__(self, encoder: LocalEncoder, width: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.start_norm, self.end_norm = nn.LayerNorm(width, eps=EPSILON), nn.LayerNorm(width, eps=EPSILON)

    def forward(self, clips: Tensor, clip_mask: Tensor) -> tuple[Tensor, Tensor]:
        """Two times [B, L, D], for the start and for the end."""
        start = self.encoder(clips, clip_mask)
        return self.start_norm(start), self.end_norm(self.encoder(start, clip_mask))


class BoundaryPredictor(nn.Module):
    """Logits of start and end of every clip; the end has read what was read for the start.

    Args:
        reader: gives two readings of the clips.
        width: D.
    """

    def __init__(self, reader: RecurrentReader | EncoderReader, width: int) -> None:
        super().__init__()
        self.reader = reader
        self.start, self.end = (
            nn.Sequential(Pointwise(2 * width, width), nn.ReLU(), Pointwise(width, 1)) for _ in range(2)
        )

    def forward(self, clips: Tensor, clip_mask: Tensor) -> tuple[Tensor, Tensor]:
        """Start and end logits, [B, L] each, from clips [B, L, D] and clip_mask [B, L], true for real clips."""
        readings = self.reader(clips, clip_mask)
        start, end = (
            head(torch.cat([reading, clips], dim=-1))[..., 0].masked_fill(~clip_mask, HIDDEN)
            for head, reading in zip((self.start, self.end), readings, strict=True)
        )
        return start, end


def moment_logits(start: Tensor, end: Tensor) -> Tensor:
    """[B, L * L] logit of every moment from the start of clip i to the end of clip j, at i * L + j: the sum of both.

    Args:
        start, end: [B, L].
    """
    return (start[:, :, None] + end[:, None]).flatten(1)


def moment_mask(clip_mask: Tensor) -> Tensor:
    """[B, L * L] true for the moments of `moment_logits` that lie on real clips and end after they start."""
    return (clip_mask[:, :, None] & clip_mask[:, None]).triu().flatten(1)


def best_moments(start: Tensor, end: Tensor, clip_mask: Tensor, count: int) -> AxisMoments:
    """The `count` moments of largest probability, which is that of the start times that of the end.

    Args:
        start, end: [B, L] logits.
        clip_mask: [B, L] true for real clips.
        count: Q.
    """
    probability = moment_logits(start.log_softmax(1), end.log_softmax(1)).exp()
    clip = torch.arange(start.shape[1], device=start.device)
    spans = torch.cartesian_prod(clip, clip + 1).to(start.dtype).expand(len(start), -1, -1)
    return top_moments(spans, probability.masked_fill(~moment_mask(clip_mask), -torch.inf), count)


def boundary_loss(logits: Tensor, wanted: Tensor) -> Tensor:
    """Cross-entropy with the wanted distribution over clips, mean over the samples that have one.

    Args:
        logits: [B, L], far below all others on padding.
        wanted: [B, L], every row adds up to 1, or is all zero for a sample without a moment.
    """
    entropy = -(wanted * logits.log_softmax(1)).sum(1)
    return entropy.sum() / (wanted.sum(1) > 0).sum().clamp(min=1)

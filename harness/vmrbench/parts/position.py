"""Where a row stands: positions that are added to queries and keys of attention."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from vmrbench.errors import DataError


def sine_position(clip_mask: Tensor, width: int, temperature: float = 10000.0) -> Tensor:
    """Sine and cosine of a row's place among the real rows, scaled so that the last real row stands at 2 pi.

    Args:
        clip_mask: [B, L] true for real rows; only they are counted.
        width: even width D of the result.
        temperature: ratio of the slowest to the fastest wave.

    Returns:
        [B, L, D] float32.

    Source:
        Carion et al., End-to-End Object Detection with Transformers, 2020, on one axis.
    """
    place = clip_mask.cumsum(1, dtype=torch.float32)
    place = place / (place[:, -1:] + 1e-6) * (2 * math.pi)
    channel = torch.arange(width, dtype=torch.float32, device=clip_mask.device)
    angle = place[..., None] / temperature ** (2 * (channel // 2) / width)
    return torch.stack([angle[..., 0::2].sin(), angle[..., 1::2].cos()], dim=-1).flatten(-2)


class LearnedPosition(nn.Module):
    """A learned vector a place, added to the rows and normalised.

    Args:
        places: longest sequence it can place.
        width: D of the rows.
        dropout: of the result.
        norm: false for the bare sum.
    """

    def __init__(self, places: int, width: int, dropout: float = 0.0, *, norm: bool = True) -> None:
        super().__init__()
        self.embedding = nn.Embedding(places, width)
        self.norm = nn.LayerNorm(width) if norm else nn.Identity()
        self.dropout = nn.Dropout(dropout)

    def forward(self, rows: Tensor) -> Tensor:
        """The position of every row.

        Args:
            rows: [B, T, D].

        Returns:
            [B, T, D].

        Raises:
            DataError: more rows than places.
        """
        places = self.embedding.num_embeddings
        if rows.shape[1] > places:
            raise DataError(
                f"a video or query has {rows.shape[1]} rows, and its learned position knows {places}; cut or resample "
                "it, or build the backbone with more places"
            )
        place = torch.arange(rows.shape[1], device=rows.device)
        out: Tensor = self.dropout(self.norm(rows + self.embedding(place)))
        return out

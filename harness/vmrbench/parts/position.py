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
    return sine_waves(place / (place[:, -1:] + 1e-6), width, temperature)


def sine_waves(fractions: Tensor, width: int, temperature: float = 10000.0) -> Tensor:
    """Sine and cosine, in turn, of fractions of a full circle, at ever slower frequencies.

    Args:
        fractions: [...], 1 stands for 2 pi.
        width: even width D of the result.
        temperature: ratio of the slowest to the fastest wave.

    Returns:
        [..., D].
    """
    channel = torch.arange(width, dtype=torch.float32, device=fractions.device)
    angle = (fractions * (2 * math.pi))[..., None] / temperature ** (2 * (channel // 2) / width)
    return torch.stack([angle[..., 0::2].sin(), angle[..., 1::2].cos()], dim=-1).flatten(-2)


def sine_halves(places: int, width: int, device: torch.device | None = None) -> Tensor:
    """[places, width] a half of sines of the place 0, 1, ..., then a half of cosines, divided by sqrt(width).

    Source:
        Vaswani et al., Attention Is All You Need, 2017; the scale is that of ActionFormer, 2022.
    """
    channel = torch.arange(width // 2, dtype=torch.float32, device=device)
    angle = torch.arange(places, dtype=torch.float32, device=device)[:, None] / 10000 ** (2 * channel / width)
    return torch.cat([angle.sin(), angle.cos()], dim=-1) / math.sqrt(width)


class SineTable(nn.Module):
    """Places of `sine_halves`, stretched over a sequence that has more rows than places.

    Args:
        places: how many rows get places of their own.
        width: D.
        multiple: a longer sequence is stretched as if it had been filled up to a multiple of this.
    """

    table: Tensor

    def __init__(self, places: int, width: int, multiple: int = 1) -> None:
        super().__init__()
        self.multiple = multiple
        self.register_buffer("table", sine_halves(places, width), persistent=False)

    def forward(self, row_mask: Tensor) -> Tensor:
        """[B or 1, L, D] from row_mask [B, L], real rows first."""
        places, rows = len(self.table), row_mask.shape[1]
        if rows <= places:
            return self.table[None, :rows]
        count = row_mask.sum(1, keepdim=True)
        filled = (count + self.multiple - 1) // self.multiple * self.multiple
        step = torch.where(count > places, (places - 1) / (filled - 1).clamp(min=1), 1.0)
        place = torch.arange(rows, device=row_mask.device) * step
        below = place.floor().clamp(max=places - 1)
        above = (below + 1).clamp(max=places - 1)
        share = (place - below).clamp(max=1)[..., None]
        return self.table[below.long()] * (1 - share) + self.table[above.long()] * share


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

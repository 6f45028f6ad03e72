"""Attention to a few learned points around a place on the clip axis, as in Deformable DETR."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class PointAttention(nn.Module):
    """Every slot reads rows at a few points around its place; how far they lie, and their weights, are its own.

    Between two rows a point reads both, by nearness. The first row stands at 0 and the last one at 1.

    Args:
        width: D of slots and result.
        source_width: S, of the rows.
        heads: number of heads, a divisor of `width`.
        points: P, points a head.
        official_padding: fractions are of the padded length, as published: the same place reads another row in a
            batch with a longer video, and points beyond the last real row read padding.

    Source:
        Lee and Byun, BAM-DETR, 2024, as in its code; Zhu et al., Deformable DETR, 2021.
    """

    def __init__(
        self, width: int, source_width: int, heads: int, points: int = 4, *, official_padding: bool = False
    ) -> None:
        super().__init__()
        self.heads, self.official_padding = heads, official_padding
        self.weight, self.offset = nn.Linear(width, heads * points), nn.Linear(width, heads * points)
        self.value = nn.Linear(source_width, width)
        self.out_proj = nn.Linear(width, width)
        nn.init.zeros_(self.weight.bias)
        # As published: one to four clips to the right, even for the start of a moment.
        self.offset.bias = nn.Parameter(torch.arange(1.0, points + 1).repeat(heads))

    def forward(self, slots: Tensor, places: Tensor, source: Tensor, mask: Tensor) -> Tensor:
        """[B, Q, D] what every slot reads.

        Args:
            slots: [B, Q, D].
            places: [B, Q] fractions of the clip axis.
            source: [B, L, S].
            mask: [B, L] true for real rows.
        """
        weights, offsets = (
            layer(slots).unflatten(-1, (self.heads, -1)).transpose(1, 2) for layer in (self.weight, self.offset)
        )
        rows = self._rows(places, offsets, mask)
        values = self.value(source).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        first = rows.floor()
        near, far = (_pick(values, row.long()) for row in (first, (first + 1).clamp(max=mask.shape[1] - 1)))
        read = torch.lerp(near, far, (rows - first)[..., None].to(near.dtype))
        mixed = (weights.softmax(-1)[..., None] * read).sum(-2)
        # Channels first and heads inside: the published layout, the other way round than it splits the values.
        out: Tensor = self.out_proj(mixed.permute(0, 2, 3, 1).flatten(2))
        return out

    def _rows(self, places: Tensor, offsets: Tensor, mask: Tensor) -> Tensor:
        """[B, heads, Q, P] where the points lie, counted in rows, from offsets of the same shape."""
        real = mask.sum(1).to(places.dtype)[:, None, None, None]
        length = torch.full_like(real, mask.shape[1]) if self.official_padding else real
        return ((places[:, None, :, None] * real + offsets) / length).clamp(0, 1) * (length - 1)


def _pick(values: Tensor, rows: Tensor) -> Tensor:
    """[B, heads, Q, P, C] the rows [B, heads, Q, P] of values [B, heads, L, C]."""
    flat = rows.flatten(2)[..., None].expand(-1, -1, -1, values.shape[-1])
    return values.gather(2, flat).reshape(*rows.shape, -1)

"""Attention of slots that stand at anchors: content and position have projections of their own.

Source: Conditional DETR (Meng et al., 2021) and DAB-DETR (Liu et al., 2022), on one axis.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vmrbench.parts.attention import attend


class SlotSelfAttention(nn.Module):
    """Slots read each other; projections of content and position are added.

    Args:
        width: D.
        heads: number of heads.
        dropout: of attention weights.
    """

    def __init__(self, width: int, heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.query_content, self.query_position = nn.Linear(width, width), nn.Linear(width, width)
        self.key_content, self.key_position = nn.Linear(width, width), nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.out_proj = nn.Linear(width, width)
        nn.init.zeros_(self.out_proj.bias)

    def forward(self, slots: Tensor, position: Tensor) -> Tensor:
        """[B, Q, D] from slots and position [B, Q, D]."""
        query = self.query_content(slots) + self.query_position(position)
        key = self.key_content(slots) + self.key_position(position)
        mixed = attend(query, key, self.value(slots), self.heads, None, self.dropout if self.training else 0.0)
        out: Tensor = self.out_proj(mixed)
        return out


class AnchorCrossAttention(nn.Module):
    """Slots read the memory; in every head, content and position stand side by side, so that their scores add up.

    Args:
        width: D.
        heads: number of heads; each works on 2 D / heads channels.
        dropout: of attention weights.
        placed: position joins content as well (the first layer of a decoder, whose slots hold nothing yet).
    """

    def __init__(self, width: int, heads: int, dropout: float = 0.0, *, placed: bool = False) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.query_content, self.key_content = nn.Linear(width, width), nn.Linear(width, width)
        self.query_position = nn.Linear(width, width) if placed else None
        self.query_wave, self.key_position = nn.Linear(width, width), nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.out_proj = nn.Linear(width, width)
        nn.init.zeros_(self.out_proj.bias)

    def forward(
        self, slots: Tensor, position: Tensor, wave: Tensor, memory: Tensor, memory_position: Tensor, mask: Tensor
    ) -> Tensor:
        """What every slot reads.

        Args:
            slots: [B, Q, D].
            position: [B, Q, D] learned embedding of the anchors, read if `placed`.
            wave: [B, Q, D] sine embedding of the anchors.
            memory, memory_position: [B, S, D].
            mask: [B, S] true for real rows of the memory.

        Returns:
            [B, Q, D].
        """
        query, key, key_place = self.query_content(slots), self.key_content(memory), self.key_position(memory_position)
        if self.query_position is not None:
            query, key = query + self.query_position(position), key + key_place
        query, key = self._side_by_side(query, self.query_wave(wave)), self._side_by_side(key, key_place)
        dropout = self.dropout if self.training else 0.0
        out: Tensor = self.out_proj(attend(query, key, self.value(memory), self.heads, mask, dropout))
        return out

    def _side_by_side(self, content: Tensor, place: Tensor) -> Tensor:
        """[B, N, 2 D]: for each head its channels of content, then its channels of place."""
        parts = [rows.reshape(*rows.shape[:2], self.heads, -1) for rows in (content, place)]
        return torch.cat(parts, dim=-1).flatten(-2)

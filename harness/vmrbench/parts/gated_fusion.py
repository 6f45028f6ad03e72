"""Slots that take up a sentence as far as it fits them."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from vmrbench.parts.attention import MultiHeadAttention


class GatedFusion(nn.Module):
    """Slots read a sentence and each other, behind a gate that opens channel by channel where slot and sentence agree.

    Args:
        width: D.
        dropout: of attention weights and of the residual branch.

    Source:
        Jang et al., EaTR, 2023, as in its code.
    """

    def __init__(self, width: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.cross_attention = MultiHeadAttention(width, 1, dropout)
        self.self_attention = MultiHeadAttention(width, 1, dropout)
        self.linear = nn.Linear(width, width)
        self.norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, slots: Tensor, sentence: Tensor) -> Tensor:
        """[B, Q, D] from slots [B, Q, D] and sentence [B, D]."""
        read = self.cross_attention(slots, sentence[:, None], sentence[:, None])
        gate, mixed = (slots * read).sigmoid(), slots + read
        mixed = self.self_attention(mixed, mixed, mixed)
        out: Tensor = self.norm(slots + self.dropout(F.relu(self.linear(gate * mixed))))
        return out

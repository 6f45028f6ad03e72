"""Slot decoder of DETR: learned slots read the memory of an encoder."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vmrbench.parts.attention import FeedForward, MultiHeadAttention


class DecoderLayer(nn.Module):
    """Self-attention of the slots, cross-attention to the memory, feed-forward; a norm after each.

    Args:
        width: D of slots and memory.
        heads: attention heads.
        inner: width inside the feed-forward block.
        dropout: of attention weights and of every residual branch.
    """

    def __init__(self, width: int, heads: int, inner: int, dropout: float) -> None:
        super().__init__()
        self.self_attention = MultiHeadAttention(width, heads, dropout)
        self.cross_attention = MultiHeadAttention(width, heads, dropout)
        self.feed_forward = FeedForward(width, inner, dropout)
        self.norm1 = nn.LayerNorm(width)
        self.norm2 = nn.LayerNorm(width)
        self.norm3 = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, slots: Tensor, slot_position: Tensor, memory: Tensor, placed_memory: Tensor, memory_mask: Tensor
    ) -> Tensor:
        """[B, Q, D] from slots and slot_position [B, Q, D].

        Args:
            slots, slot_position: [B, Q, D].
            memory: [B, S, D] values.
            placed_memory: [B, S, D] keys, the memory with its position.
            memory_mask: [B, S] true for real rows.
        """
        placed = slots + slot_position
        slots = self.norm1(slots + self.dropout(self.self_attention(placed, placed, slots)))
        read = self.cross_attention(slots + slot_position, placed_memory, memory, memory_mask)
        slots = self.norm2(slots + self.dropout(read))
        out: Tensor = self.norm3(slots + self.dropout(self.feed_forward(slots)))
        return out


class Decoder(nn.Module):
    """A stack of `DecoderLayer`; slots start at zero, and one norm is shared by the result of every layer."""

    def __init__(self, layers: int, width: int, heads: int, inner: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.ModuleList(DecoderLayer(width, heads, inner, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width)

    def forward(self, slot_position: Tensor, memory: Tensor, memory_position: Tensor, memory_mask: Tensor) -> Tensor:
        """The slots after every layer.

        Args:
            slot_position: [Q, D] learned, the same for every sample.
            memory, memory_position: [B, S, D].
            memory_mask: [B, S] true for real rows.

        Returns:
            [layers, B, Q, D] normalised; the last one is the answer, the others serve auxiliary losses.
        """
        position = slot_position[None].expand(memory.shape[0], -1, -1)
        slots, placed_memory, after = torch.zeros_like(position), memory + memory_position, []
        for layer in self.layers:
            slots = layer(slots, position, memory, placed_memory, memory_mask)
            after.append(self.norm(slots))
        return torch.stack(after)

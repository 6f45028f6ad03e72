"""Self-attention encoder in the manner of DETR: positions join queries and keys, never values."""

from __future__ import annotations

from torch import Tensor, nn

from vmrbench.parts.attention import Activation, FeedForward, MultiHeadAttention
from vmrbench.parts.drop_path import residual_dropout


class EncoderLayer(nn.Module):
    """Self-attention and feed-forward, each followed by a residual sum and a norm.

    Args:
        width: D of the rows.
        heads: attention heads.
        inner: width inside the feed-forward block.
        dropout: of attention weights and of every residual branch.
        activation: of the feed-forward block.
        drop_path: where given, a residual branch is dropped whole, sample by sample, at this rate instead.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        inner: int,
        dropout: float,
        *,
        activation: Activation = "relu",
        drop_path: float | None = None,
    ) -> None:
        super().__init__()
        self.attention = MultiHeadAttention(width, heads, dropout)
        self.feed_forward = FeedForward(width, inner, dropout, activation)
        self.norm1 = nn.LayerNorm(width)
        self.norm2 = nn.LayerNorm(width)
        self.dropout = residual_dropout(dropout, drop_path)

    def forward(self, rows: Tensor, position: Tensor, row_mask: Tensor) -> Tensor:
        """[B, S, D] from rows and position [B, S, D], row_mask [B, S] true for real rows."""
        placed = rows + position
        rows = self.norm1(rows + self.dropout(self.attention(placed, placed, rows, row_mask)))
        out: Tensor = self.norm2(rows + self.dropout(self.feed_forward(rows)))
        return out


class Encoder(nn.Module):
    """A stack of `EncoderLayer`; all of them see the same positions."""

    def __init__(
        self,
        layers: int,
        width: int,
        heads: int,
        inner: int,
        dropout: float,
        *,
        activation: Activation = "relu",
        drop_path: float | None = None,
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            EncoderLayer(width, heads, inner, dropout, activation=activation, drop_path=drop_path)
            for _ in range(layers)
        )

    def forward(self, rows: Tensor, position: Tensor, row_mask: Tensor) -> Tensor:
        """[B, S, D] from rows and position [B, S, D], row_mask [B, S] true for real rows."""
        for layer in self.layers:
            rows = layer(rows, position, row_mask)
        return rows

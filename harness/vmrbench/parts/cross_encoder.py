"""Cross-modal encoder: the rows of one sequence read another, such as clips that read the query.

Positions join queries and keys, never values. Rows do not see each other.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vmrbench.parts.attention import Activation, FeedForward, MultiHeadAttention
from vmrbench.parts.drop_path import residual_dropout


class CrossEncoderLayer(nn.Module):
    """Attention to the source and feed-forward, each with a residual sum, and one norm behind both.

    Another norm stands before the feed-forward block, outside the residual stream: unlike in `EncoderLayer`, the
    second sum adds to what has not been normalised.

    Args:
        width: D of rows and source.
        heads: attention heads.
        inner: width inside the feed-forward block.
        dropout: of attention weights and of every residual branch.
        activation: of the feed-forward block.
        drop_path: where given, a residual branch is dropped whole, sample by sample, at this rate instead.
        attention: stands in for the usual one where a stack has its own and calls `join` with what that reads.

    Source:
        Moon et al., QD-DETR, 2023, as in its code.
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
        attention: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.attention = MultiHeadAttention(width, heads, dropout) if attention is None else attention
        self.feed_forward = FeedForward(width, inner, dropout, activation)
        self.norm1 = nn.LayerNorm(width)
        self.norm2 = nn.LayerNorm(width)
        self.dropout = residual_dropout(dropout, drop_path)

    def forward(self, rows: Tensor, position: Tensor, source: Tensor, placed_source: Tensor, mask: Tensor) -> Tensor:
        """[B, N, D] rows that have read the source.

        Args:
            rows, position: [B, N, D].
            source, placed_source: [B, S, D] what is read, without and with positions.
            mask: [B, S] true for real rows of the source, or as in `attend`.
        """
        return self.join(rows, self.attention(rows + position, placed_source, source, mask))

    def join(self, rows: Tensor, read: Tensor) -> Tensor:
        """[B, N, D] the rows with what they read, [B, N, D], behind the feed-forward block."""
        rows = rows + self.dropout(read)
        out: Tensor = self.norm2(rows + self.dropout(self.feed_forward(self.norm1(rows))))
        return out


class CrossEncoder(nn.Module):
    """A stack of `CrossEncoderLayer`; what they read is the same in every layer.

    Args:
        layers: layers of the stack; the others as in `CrossEncoderLayer`.
        official_padding: see `neighbours_mask`.
    """

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
        official_padding: bool = False,
    ) -> None:
        super().__init__()
        self.heads, self.official_padding = heads, official_padding
        self.layers = nn.ModuleList(
            CrossEncoderLayer(width, heads, inner, dropout, activation=activation, drop_path=drop_path)
            for _ in range(layers)
        )

    def forward(
        self,
        rows: Tensor,
        position: Tensor,
        row_mask: Tensor,
        source: Tensor,
        placed_source: Tensor,
        source_mask: Tensor,
    ) -> Tensor:
        """The rows after every layer has read the source.

        Args:
            rows, position: [B, N, D].
            row_mask: [B, N] true for real rows.
            source, placed_source: [B, S, D] what is read, without and with positions.
            source_mask: [B, S] true for real rows of the source.

        Returns:
            [B, N, D].
        """
        mask = neighbours_mask(row_mask, source_mask, self.heads) if self.official_padding else source_mask
        for layer in self.layers:
            rows = layer(rows, position, source, placed_source, mask)
        return rows


def neighbours_mask(row_mask: Tensor, source_mask: Tensor, heads: int) -> Tensor:
    """Which rows of the source the official QD-DETR and its descendants let each head read: a bug, kept for comparison.

    They hide padding of the source from padded rows a second time, which would change nothing, but lay that mask out
    head by head where it is read sample by sample. Head h of sample b gets it from sample (b heads + h) mod B, so real
    clips that stand where that neighbour has none do not read the words that stand where it has none. A batch without
    padding, or of one sample, is unharmed.

    Args:
        row_mask: [B, N] true for real rows.
        source_mask: [B, S] true for real rows of the source.
        heads: number of heads.

    Returns:
        [B, heads, N, S].
    """
    size = len(row_mask)
    neighbour = torch.arange(size * heads, device=row_mask.device).remainder(size).reshape(size, heads)
    hidden = ~row_mask[:, :, None] & ~source_mask[:, None, :]
    return source_mask[:, None, None] & ~hidden[neighbour]

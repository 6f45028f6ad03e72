"""An encoder whose convolutions look around a row before its attention looks everywhere."""

from __future__ import annotations

from torch import Tensor, nn

from vmrbench.parts.attention import attend
from vmrbench.parts.convolution import Pointwise, SeparableConvolutions
from vmrbench.parts.position import LearnedPosition

EPSILON = 1e-6  # Of every norm, as published.


class LocalEncoder(nn.Module):
    """Learned positions, separable convolutions, one layer of self-attention.

    Args:
        places: longest sequence.
        width: D.
        layers, kernel: of the convolutions.
        heads: of the attention.
        dropout: everywhere.
        reads_padding: let the convolutions read padded rows, which hold positions and biases, as published.

    Source:
        Zhang et al., Span-based Localizing Network, 2020, section 3.2, after Yu et al., QANet, 2018.
    """

    def __init__(
        self, places: int, width: int, layers: int, kernel: int, heads: int, dropout: float, *, reads_padding: bool
    ) -> None:
        super().__init__()
        self.reads_padding = reads_padding
        self.position = LearnedPosition(places, width, norm=False)
        self.convolutions = SeparableConvolutions(width, layers, kernel, dropout=dropout, bias=False, epsilon=EPSILON)
        self.attention = AttentionBlock(width, heads, dropout)

    def forward(self, rows: Tensor, row_mask: Tensor) -> Tensor:
        """[B, N, D] from rows [B, N, D] and row_mask [B, N], true for real rows."""
        rows = self.convolutions(self.position(rows), None if self.reads_padding else row_mask)
        out: Tensor = self.attention(rows, row_mask)
        return out


class AttentionBlock(nn.Module):
    """Self-attention and one linear layer, each after a norm and before a residual sum.

    Args:
        width: D.
        heads: a divisor of `width`.
        dropout: of what is read, of attention weights and of results.
    """

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width, eps=EPSILON), nn.LayerNorm(width, eps=EPSILON)
        self.query, self.key, self.value = (Pointwise(width, width) for _ in range(3))
        self.mix = Pointwise(width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, rows: Tensor, row_mask: Tensor) -> Tensor:
        """[B, N, D] from rows [B, N, D] and row_mask [B, N], true for real rows."""
        read = self.dropout(self.norm1(rows))
        rate = self.dropout.p if self.training else 0.0
        mixed = attend(self.query(read), self.key(read), self.value(read), self.heads, row_mask, rate)
        rows = rows + self.dropout(mixed)
        out: Tensor = rows + self.dropout(self.mix(self.dropout(self.norm2(rows))))
        return out

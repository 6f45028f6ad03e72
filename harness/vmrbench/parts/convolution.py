"""Convolutions over the rows of a sequence; with a mask, a padded row is to them what lies beyond the ends: zero."""

from __future__ import annotations

from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn


class Pointwise(nn.Module):
    """A linear layer whose weight is kept as that of a convolution over one row, [out_width, width, 1]."""

    def __init__(self, width: int, out_width: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(width, out_width, 1)

    def forward(self, rows: Tensor) -> Tensor:
        """[..., width] to [..., out_width]."""
        return F.linear(rows, self.conv.weight[..., 0], self.conv.bias)


class ConvolutionStack(nn.Module):
    """Convolutions with a ReLU between each two; the number of rows stays.

    Args:
        widths: of the input, of every layer's result.
        kernel: their odd length in rows.
    """

    def __init__(self, *widths: int, kernel: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Conv1d(a, b, kernel, padding=kernel // 2) for a, b in pairwise(widths))

    def forward(self, rows: Tensor, row_mask: Tensor | None) -> Tensor:
        """[B, L, widths[-1]] from rows [B, L, widths[0]]; row_mask [B, L] true for real rows, None to read padding."""
        for position, layer in enumerate(self.layers):
            rows = layer(hide_padding(F.relu(rows) if position else rows, row_mask).transpose(1, 2)).transpose(1, 2)
        return rows


class SeparableConvolutions(nn.Module):
    """Residual layers: norm, a convolution in every channel, one across channels, ReLU.

    Args:
        width: D.
        layers: number of layers.
        kernel: odd length in rows.
        dropout: of every layer's result, before the residual sum.
        bias: of the convolutions in a channel.
        epsilon: of the norms.

    Source:
        Yu et al., QANet, 2018.
    """

    def __init__(
        self, width: int, layers: int, kernel: int, *, dropout: float = 0.0, bias: bool = True, epsilon: float = 1e-5
    ) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(width, eps=epsilon) for _ in range(layers))
        self.convolutions = nn.ModuleList(
            nn.Sequential(
                nn.Conv1d(width, width, kernel, padding=kernel // 2, groups=width, bias=bias),
                nn.Conv1d(width, width, 1),
                nn.ReLU(),
            )
            for _ in range(layers)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, rows: Tensor, row_mask: Tensor | None) -> Tensor:
        """[B, L, D] from rows [B, L, D]; row_mask [B, L] true for real rows, None to read padding."""
        for norm, convolution in zip(self.norms, self.convolutions, strict=True):
            read = hide_padding(norm(rows), row_mask)
            rows = rows + self.dropout(convolution(read.transpose(1, 2)).transpose(1, 2))
        return rows


def hide_padding(rows: Tensor, row_mask: Tensor | None) -> Tensor:
    """[B, L, D] rows with zeros where row_mask [B, L] is false; as they are where there is no mask."""
    return rows if row_mask is None else rows * row_mask[..., None]

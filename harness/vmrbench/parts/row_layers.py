"""Layers over rows [B, L, D] whose parameters have the shapes of one-dimensional convolutions.

Padded rows hold anything finite; a convolution over several rows takes a mask and reads them as zeros.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class RowConv(nn.Module):
    """Convolution along the rows, which keeps their number (divided by `stride`, rounded up).

    Args:
        width, out_width: of a row before and after.
        kernel: rows read, odd.
        stride: rows between two results.
        depthwise: every channel on its own.
        bias: whether there is one.
    """

    def __init__(
        self,
        width: int,
        out_width: int,
        kernel: int = 1,
        *,
        stride: int = 1,
        depthwise: bool = False,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.depthwise = depthwise
        groups = width if depthwise else 1
        self.conv = nn.Conv1d(width, out_width, kernel, stride, kernel // 2, groups=groups, bias=bias)

    def forward(self, rows: Tensor, row_mask: Tensor | None = None, sizes: Sequence[int] | None = None) -> Tensor:
        """[B, L / stride, out_width] from rows [B, L, width].

        Args:
            rows: [B, L, width].
            row_mask: [B, L] true for real rows; needed where the kernel reads more than one row.
            sizes: rows of sequences that stand side by side in `rows` and are not neighbours; default is one sequence.
        """
        if row_mask is None:
            assert self.conv.kernel_size == (1,), "a kernel over several rows needs the mask of the real ones"
            return F.linear(rows, self.conv.weight[..., 0], self.conv.bias)
        # On a CPU a masked fill is slow, and so is a convolution over all channels, which reads the rows transposed.
        real = rows * row_mask[..., None].to(rows.dtype)
        parts = torch.split(real, list(sizes or [rows.shape[1]]), dim=1)
        return torch.cat([self._depthwise(part) if self.depthwise else self._dense(part) for part in parts], dim=1)

    def _depthwise(self, rows: Tensor) -> Tensor:
        out: Tensor = self.conv(rows.transpose(1, 2))
        return out.transpose(1, 2)

    def _dense(self, rows: Tensor) -> Tensor:
        kernel, stride, length = self.conv.kernel_size[0], self.conv.stride[0], rows.shape[1]
        padded = F.pad(rows, (0, 0, kernel // 2, kernel // 2))
        neighbours = torch.cat([padded[:, place : place + length : stride] for place in range(kernel)], dim=-1)
        return F.linear(neighbours, self.conv.weight.transpose(1, 2).flatten(1), self.conv.bias)


class RowNorm(nn.Module):
    """Layer norm of every row. affine: whether a weight and a bias are learned."""

    def __init__(self, width: int, *, affine: bool = True) -> None:
        super().__init__()
        self.width = width
        self.weight = nn.Parameter(torch.ones(width, 1)) if affine else None
        self.bias = nn.Parameter(torch.zeros(width, 1)) if affine else None

    def forward(self, rows: Tensor) -> Tensor:
        """[..., D] to [..., D]."""
        if self.weight is None or self.bias is None:
            return F.layer_norm(rows, (self.width,))
        return F.layer_norm(rows, (self.width,), self.weight[:, 0], self.bias[:, 0])


class ScaledBranch(nn.Module):
    """A residual branch on its way to the sum: scaled by channel, and in training left out for some samples.

    Args:
        width: D of the rows.
        drop: probability that a sample loses the branch; the others are scaled up to make up for it.
        start: value of the scales before training.

    Source:
        Touvron et al., Going deeper with Image Transformers, 2021, and Huang et al., Deep Networks with Stochastic
        Depth, 2016.
    """

    def __init__(self, width: int, drop: float, start: float) -> None:
        super().__init__()
        self.drop = drop
        self.scale = nn.Parameter(torch.full((1, width, 1), start))

    def forward(self, rows: Tensor) -> Tensor:
        """[B, L, D] to [B, L, D]."""
        scaled = rows * self.scale[:, :, 0]
        if not self.training or self.drop == 0.0:
            return scaled
        kept = torch.rand(len(rows), 1, 1, device=rows.device) >= self.drop
        return scaled * kept / (1 - self.drop)


class ResidualFeedForward(nn.Module):
    """Norm, two pointwise layers with a GELU between, and the sum with what came in.

    Args:
        width: D of the rows; the layer between is four times as wide.
        dropout: after each of the two layers.
        drop_path, branch_scale: see `ScaledBranch`.
    """

    def __init__(self, width: int, dropout: float, drop_path: float, branch_scale: float) -> None:
        super().__init__()
        self.norm = RowNorm(width)
        self.expand = RowConv(width, 4 * width)
        self.contract = RowConv(4 * width, width)
        self.dropout = nn.Dropout(dropout)
        self.branch = ScaledBranch(width, drop_path, branch_scale)

    def forward(self, rows: Tensor) -> Tensor:
        """[B, L, D] to [B, L, D]."""
        inner = self.dropout(F.gelu(self.expand(self.norm(rows))))
        out: Tensor = rows + self.branch(self.dropout(self.contract(inner)))
        return out

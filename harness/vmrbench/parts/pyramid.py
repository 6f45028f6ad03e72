"""A video as a pyramid: rows at every clip, every second clip, every fourth, ..., each aware of its neighbours."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vmrbench.parts.position import SineTable
from vmrbench.parts.row_layers import ResidualFeedForward, RowConv, RowNorm, ScaledBranch
from vmrbench.parts.window_attention import RowAttention


@dataclass(frozen=True, kw_only=True)
class Residuals:
    """dropout: of projections; drop_path: share of residual branches left out; branch_scale: their first scale."""

    dropout: float
    drop_path: float
    branch_scale: float


@dataclass(frozen=True, kw_only=True)
class Level:
    """One level: rows [B, L, D] and row_mask [B, L] true for real rows; row i stands at clip i times the stride."""

    rows: Tensor
    row_mask: Tensor


class PyramidBlock(nn.Module):
    """Transformer block that attends to a window and may halve the number of rows.

    Args:
        width: D of the rows.
        heads: attention heads.
        reach: rows attended to on either side.
        stride: 1, or 2 to halve.
        residuals: of both branches.
    """

    def __init__(self, width: int, heads: int, reach: int, stride: int, residuals: Residuals) -> None:
        super().__init__()
        self.stride = stride
        self.norm = RowNorm(width)
        self.convs = nn.ModuleDict(
            {name: RowConv(width, width, 3, stride=stride, depthwise=True, bias=False) for name in "qkv"}
        )
        self.norms = nn.ModuleDict({name: RowNorm(width) for name in "qkv"})
        self.attention = RowAttention(width, width, width, heads, residuals.dropout, reach=reach)
        self.branch = ScaledBranch(width, residuals.drop_path, residuals.branch_scale)
        self.feed_forward = ResidualFeedForward(width, residuals.dropout, residuals.drop_path, residuals.branch_scale)

    def forward(self, level: Level) -> Level:
        """The next level."""
        normed, mask = self.norm(level.rows), level.row_mask[:, :: self.stride]
        inputs = [self.norms[name](self.convs[name](normed, level.row_mask)) for name in "qkv"]
        rows = level.rows if self.stride == 1 else strided_maximum(level, self.stride)
        rows = rows + self.branch(self.attention(*inputs, mask))
        return Level(rows=self.feed_forward(rows), row_mask=mask)


class VideoPyramid(nn.Module):
    """Clips embedded by convolutions, placed, and read by blocks; every block of the branch but the first halves.

    Args:
        video_width: of the clips.
        width: D.
        heads, reach, residuals: of the blocks.
        convs: convolutions of the embedding.
        stem: blocks before the pyramid.
        levels: of the pyramid.
        places: clips that positions know; positions of a longer video are stretched.
    """

    def __init__(
        self,
        video_width: int,
        width: int,
        heads: int,
        reach: int,
        residuals: Residuals,
        *,
        convs: int,
        stem: int,
        levels: int,
        places: int,
    ) -> None:
        super().__init__()
        self.projection = RowConv(video_width, width)
        self.convs = nn.ModuleList(RowConv(width, width, 3, bias=False) for _ in range(convs))
        self.norms = nn.ModuleList(RowNorm(width) for _ in range(convs))
        # A published video is padded to whole blocks of attention at its coarsest level.
        self.position = SineTable(places, width, multiple=2 * reach * 2 ** (levels - 1))
        self.stem = nn.ModuleList(PyramidBlock(width, heads, reach, 1, residuals) for _ in range(stem))
        self.branch = nn.ModuleList(
            PyramidBlock(width, heads, reach, 2 if level else 1, residuals) for level in range(levels)
        )

    def forward(self, clips: Tensor, clip_mask: Tensor, levels: int | None = None) -> list[Level]:
        """The levels, finest first.

        Args:
            clips: [B, L, video_width].
            clip_mask: [B, L] true for real clips.
            levels: how many of them, default all.
        """
        rows = self.projection(clips)
        for conv, norm in zip(self.convs, self.norms, strict=True):
            rows = F.relu(norm(conv(rows, clip_mask)))
        level = Level(rows=rows + self.position(clip_mask), row_mask=clip_mask)
        for block in self.stem:
            level = block(level)
        made = []
        for block in self.branch[:levels]:
            level = block(level)
            made.append(level)
        return made


def strided_maximum(level: Level, stride: int) -> Tensor:
    """[B, L / stride, D] maximum over the real rows at most one away from every `stride`-th row; padding is 0."""
    padding = ~level.row_mask[..., None]
    pooled = F.max_pool1d(level.rows.masked_fill(padding, -torch.inf).transpose(1, 2), 3, stride, 1)
    return pooled.transpose(1, 2).masked_fill(padding[:, ::stride], 0.0)

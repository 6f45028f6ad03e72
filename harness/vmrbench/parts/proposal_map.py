"""The two-dimensional map of moments: a cell (i, j) is the moment from grid clip i to the end of grid clip j.

Only some cells are live: every short moment, and longer ones at ever coarser steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn


def sparse_cells(grid: int, scales: Sequence[int]) -> list[tuple[int, int]]:
    """Live cells (first clip, last clip) in the order in which `ProposalMap` makes them.

    Scale k has scales[k] lengths that grow by 2**k clips, and starts at every 2**k-th clip.

    Args:
        grid: N clips.
        scales: lengths a scale.

    Source:
        Zhang et al., 2D-TAN, 2020, section 3.2 and its configurations.
    """
    cells: list[tuple[int, int]] = []
    reach = -1
    for scale, lengths in enumerate(scales):
        step = 2**scale
        for _ in range(lengths):
            reach += step
            cells += [(first, first + reach) for first in range(0, grid - reach, step)]
    return cells


class ProposalMap(nn.Module):
    """Features of the live cells, longer moments from shorter ones, by pooling or by learned convolutions.

    Args:
        grid: N clips.
        scales: lengths a scale, see `sparse_cells`.
        kind: `pool` (maximum over the clips of a moment) or `conv`.
        width: D, read by `conv` only.
    """

    first: Tensor
    last: Tensor

    def __init__(self, grid: int, scales: Sequence[int], kind: Literal["pool", "conv"], width: int) -> None:
        super().__init__()
        self.grid = grid
        live = torch.tensor(sparse_cells(grid, scales))
        self.register_buffer("first", live[:, 0], persistent=False)
        self.register_buffer("last", live[:, 1], persistent=False)
        self.layers = nn.ModuleList(
            nn.ModuleList(_lengthen(kind, width, scale, step) for step in range(lengths))
            for scale, lengths in enumerate(scales)
        )

    @property
    def spans(self) -> Tensor:
        """[C, 2] start and end of the live cells, as fractions of the video."""
        return torch.stack([self.first, self.last + 1], dim=-1) / self.grid

    def forward(self, clips: Tensor) -> Tensor:
        """[B, D, C] features of the live cells from clips [B, D, N]."""
        made = []
        for scale in self.layers:
            assert isinstance(scale, nn.ModuleList)
            for layer in scale:
                clips = layer(clips)
                made.append(clips)
        return torch.cat(made, dim=-1)

    def of_single_clips(self, cells: Tensor) -> Tensor:
        """[B, D, N] the moments of one grid clip, which are made first, of cells [B, D, C]."""
        return cells[..., : self.grid]

    def covering_maximum(self, values: Tensor) -> Tensor:
        """[B, N] for every grid clip the largest of values [B, C] over the live cells that cover it."""
        clip = torch.arange(self.grid, device=values.device)[:, None]
        covers = (clip >= self.first) & (clip <= self.last)
        return values[:, None].masked_fill(~covers, -torch.inf).amax(-1)


def _lengthen(kind: str, width: int, scale: int, step: int) -> nn.Module:
    """The layer that makes the next length: the first of a coarser scale also skips every second start."""
    kernel, stride = (2, 1) if step else ((3, 2) if scale else (1, 1))
    return nn.MaxPool1d(kernel, stride) if kind == "pool" else nn.Conv1d(width, width, kernel, stride)

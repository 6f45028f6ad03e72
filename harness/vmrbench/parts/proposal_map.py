"""The two-dimensional map of moments: a cell (i, j) is the moment from grid clip i to the end of grid clip j.

Only some cells are live: every short moment, and longer ones at ever coarser steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
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
    place: Tensor

    def __init__(self, grid: int, scales: Sequence[int], kind: Literal["pool", "conv"], width: int) -> None:
        super().__init__()
        self.grid = grid
        live = torch.tensor(sparse_cells(grid, scales))
        self.register_buffer("first", live[:, 0], persistent=False)
        self.register_buffer("last", live[:, 1], persistent=False)
        self.register_buffer("place", live[:, 0] * grid + live[:, 1], persistent=False)
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

    def to_map(self, cells: Tensor) -> Tensor:
        """[B, D, N, N] with cells [B, D, C] in their places and zero elsewhere."""
        empty = cells.new_zeros(*cells.shape[:2], self.grid * self.grid)
        filled = empty.index_copy(2, self.place, cells)
        return filled.reshape(*cells.shape[:2], self.grid, self.grid)

    def from_map(self, dense: Tensor) -> Tensor:
        """[B, D, C] live cells of dense [B, D, N, N]."""
        return dense.flatten(2).index_select(2, self.place)

    def covering_maximum(self, values: Tensor) -> Tensor:
        """[B, N] for every grid clip the largest of values [B, C] over the live cells that cover it."""
        clip = torch.arange(self.grid, device=values.device)[:, None]
        covers = (clip >= self.first) & (clip <= self.last)
        return values[:, None].masked_fill(~covers, -torch.inf).amax(-1)


class MapConvolution(nn.Module):
    """Convolutions over the map that know which cells are live: a sum over k live inputs is divided by k.

    The map is padded once, before the first convolution, by what all of them will take off.

    Args:
        live: [N, N] true for live cells.
        width: D.
        layers: convolutions.
        kernel: their odd side.
    """

    def __init__(self, live: Tensor, width: int, layers: int, kernel: int) -> None:
        super().__init__()
        paddings = [(kernel - 1) // 2 * layers] + [0] * (layers - 1)
        self.convs = nn.ModuleList(nn.Conv2d(width, width, kernel, padding=p) for p in paddings)
        for layer, scale in enumerate(_live_scales(live, paddings, kernel)):
            self.register_buffer(f"scale_{layer}", scale, persistent=False)

    @torch.no_grad()
    def balance(self) -> None:
        """Multiply every convolution by the inputs its result is divided by, and start it as suits a ReLU.

        Left alone, k x k inputs are summed with weights meant for a sum and then divided by k x k, so that every
        layer weakens the signal about k x k times. A trial of few epochs showed no clear gain from mending that.
        """
        for conv in self.convs:
            assert isinstance(conv, nn.Conv2d)
            nn.init.kaiming_uniform_(conv.weight, nonlinearity="relu")
            conv.weight *= conv.kernel_size[0] * conv.kernel_size[1]

    def forward(self, dense: Tensor) -> Tensor:
        """[B, D, N, N] to [B, D, N, N]."""
        for layer, conv in enumerate(self.convs):
            dense = F.relu(conv(dense)) * self.get_buffer(f"scale_{layer}")
        return dense


def live_map(proposals: ProposalMap) -> Tensor:
    """[N, N] true for the live cells of `proposals`."""
    return proposals.to_map(torch.ones(1, 1, len(proposals.place), device=proposals.place.device))[0, 0] > 0


def _lengthen(kind: str, width: int, scale: int, step: int) -> nn.Module:
    """The layer that makes the next length: the first of a coarser scale also skips every second start."""
    kernel, stride = (2, 1) if step else ((3, 2) if scale else (1, 1))
    return nn.MaxPool1d(kernel, stride) if kind == "pool" else nn.Conv1d(width, width, kernel, stride)


def _live_scales(live: Tensor, paddings: Sequence[int], kernel: int) -> list[Tensor]:
    """For each convolution 1 / (number of live inputs) at its live outputs, 0 where no input is live."""
    scales, current = [], live[None, None].to(torch.float32)
    ones = torch.ones(1, 1, kernel, kernel, device=live.device)
    for padding in paddings:
        count = F.conv2d(current, ones, padding=padding).round()
        current = (count > 0).to(torch.float32)
        scales.append(current / count.clamp(min=1))
    return scales

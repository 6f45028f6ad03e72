"""Every row of a pyramid is a point in time that votes for one moment around itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vmrbench.parts.row_layers import RowConv, RowNorm


@dataclass(frozen=True, kw_only=True)
class Points:
    """P points, the levels one behind the other.

    place: [P] on the clip axis, the middle of a clip; stride: [P] clips between two points of the level; level: [P] its
    number; shortest, longest: [P] how far, in clips, the farther end of a moment lies that a point is taught, from
    `shortest` up to but not including `longest`; sizes: points of each level.
    """

    place: Tensor
    stride: Tensor
    level: Tensor
    shortest: Tensor
    longest: Tensor
    sizes: tuple[int, ...]


def pyramid_points(sizes: Sequence[int], reach: float, overlap: float, device: torch.device) -> Points:
    """The points of a pyramid whose levels double their stride.

    Args:
        sizes: rows of each level, finest first.
        reach: `longest` of the finest level; it doubles from level to level, and the coarsest has no limit.
        overlap: `shortest` of a level is that share of the `longest` of the one before.
        device: where the tensors go.
    """
    fields: list[list[Tensor]] = []
    for level, size in enumerate(sizes):
        stride, longest = 2.0**level, reach * 2**level
        limits = (longest / 2 * overlap if level else 0.0, torch.inf if level == len(sizes) - 1 else longest)
        place = torch.arange(size, device=device) * stride + 0.5
        fields.append([place, *(torch.full_like(place, value) for value in (stride, level, *limits))])
    place, strides, levels, shortest, beyond = (torch.cat(list(parts)) for parts in zip(*fields, strict=True))
    return Points(
        place=place, stride=strides, level=levels.long(), shortest=shortest, longest=beyond, sizes=tuple(sizes)
    )


def point_spans(offsets: Tensor, points: Points) -> Tensor:
    """[B, P, 2] start and end on the clip axis, not clamped, from offsets [B, P, 2] in strides."""
    left, right = (offsets * points.stride[:, None]).unbind(-1)
    return torch.stack([points.place - left, points.place + right], dim=-1)


class PointHead(nn.Module):
    """Convolutions over three rows, each but the last with a norm and a ReLU.

    Args:
        width: D of the rows.
        layers: before the last.
        out_width: numbers a row.
    """

    def __init__(self, width: int, layers: int, out_width: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(RowConv(width, width, 3, bias=False) for _ in range(layers))
        self.norms = nn.ModuleList(RowNorm(width) for _ in range(layers))
        self.last = RowConv(width, out_width, 3)

    def forward(self, rows: Tensor, row_mask: Tensor, sizes: Sequence[int]) -> Tensor:
        """[B, P, out_width] from rows [B, P, D] of levels of these sizes, row_mask [B, P]."""
        for conv, norm in zip(self.convs, self.norms, strict=True):
            rows = F.relu(norm(conv(rows, row_mask, sizes)))
        out: Tensor = self.last(rows, row_mask, sizes)
        return out


class PointHeads(nn.Module):
    """How likely the query's moment lies around a point, and how far it reaches to the left and to the right.

    Args:
        width: D of the rows.
        layers: of each head.
        levels: of the pyramid; each learns a scale of its reach.
    """

    def __init__(self, width: int, layers: int, levels: int) -> None:
        super().__init__()
        self.label = PointHead(width, layers, 1)
        self.span = PointHead(width, layers, 2)
        # A point that reaches nowhere learns nothing through the ReLU, so all start with a reach of about a stride.
        reach = self.span.last.conv.bias
        assert reach is not None
        nn.init.ones_(reach)
        self.scales = nn.ParameterList(nn.Parameter(torch.tensor(1.0)) for _ in range(levels))

    def forward(self, rows: Tensor, row_mask: Tensor, points: Points) -> tuple[Tensor, Tensor]:
        """Logits [B, P], and offsets [B, P, 2] of start and end in strides, from rows [B, P, D]."""
        scale = torch.stack(list(self.scales)).index_select(0, points.level)
        offsets = F.relu(self.span(rows, row_mask, points.sizes) * scale[:, None])
        return self.label(rows, row_mask, points.sizes)[..., 0], offsets

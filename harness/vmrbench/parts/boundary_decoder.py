"""Slot decoder of BAM-DETR: a slot finds any point inside a moment, and from there its start and its end.

Every slot has three parts: one for the point, which reads the whole memory as in DAB-DETR, and two for start and end,
which read a few clips around where those are supposed. Anchors are three fractions: a point, and how far the moment
reaches before and after it.

Source: Lee and Byun, BAM-DETR, 2024, as in its code.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vmrbench.parts.anchor_decoder import AnchorDecoderLayer
from vmrbench.parts.anchors import anchor_waves, fraction_logits
from vmrbench.parts.attention import FeedForward
from vmrbench.parts.convolution import ConvolutionStack, Pointwise
from vmrbench.parts.heads import Mlp
from vmrbench.parts.point_attention import PointAttention
from vmrbench.spans import span_to_centre_width


@dataclass(frozen=True, kw_only=True)
class BoundarySlots:
    """What every layer arrived at, the last one last.

    hidden: [layers, B, Q, 3, D] parts of the slots, for point, start and end; anchors: [layers, B, Q, 3]; boundaries:
    [B, L, 2, D] features of clips that start and ends are read from, which training makes tell boundaries.
    """

    hidden: Tensor
    anchors: Tensor
    boundaries: Tensor


class BoundaryLayer(nn.Module):
    """Part of a slot reads around its boundary, then feed-forward; a norm after each.

    Args:
        width: D of slots; heads, inner, dropout: as in `AnchorDecoderLayer`.
        official_padding: see `PointAttention`.
    """

    def __init__(self, width: int, heads: int, inner: int, dropout: float, *, official_padding: bool) -> None:
        super().__init__()
        self.attention = PointAttention(width, 2 * width, heads, official_padding=official_padding)
        self.feed_forward = FeedForward(width, inner, dropout, "prelu")
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, slots: Tensor, places: Tensor, source: Tensor, mask: Tensor) -> Tensor:
        """[B, Q, D] from slots [B, Q, D], places [B, Q] as fractions, source [B, L, 2 D], mask [B, L] true if real."""
        slots = self.norm1(slots + self.dropout(self.attention(slots, places, source, mask)))
        out: Tensor = self.norm2(slots + self.dropout(self.feed_forward(slots)))
        return out


class BoundaryFeatures(nn.Module):
    """Convolutions over clips with a ReLU after each: two of three clips, one of a single clip. width: D."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.near = ConvolutionStack(width, width, width, kernel=3)
        self.last = Pointwise(width, width)

    def forward(self, clips: Tensor, clip_mask: Tensor | None) -> Tensor:
        """[B, L, D] from clips [B, L, D]; clip_mask [B, L] true for real clips, None to read padding."""
        return F.relu(self.last(F.relu(self.near(clips, clip_mask))))


class BoundaryDecoder(nn.Module):
    """A stack of layers, each with three steps: the point is read, then start and end at once.

    No gradient flows back through where a layer begins. Nothing is normalised beyond the norms of the layers.

    Args:
        layers: of the stack; width, heads, inner, dropout: as in `AnchorDecoderLayer`.
        official_padding: read padded clips as published, in the convolutions and as in `PointAttention`.
    """

    def __init__(
        self, layers: int, width: int, heads: int, inner: int, dropout: float, *, official_padding: bool = False
    ) -> None:
        super().__init__()
        shape = (width, heads, inner, dropout)
        self.width, self.official_padding = width, official_padding
        self.layers = nn.ModuleList(
            AnchorDecoderLayer(*shape, placed=not place, activation="prelu") for place in range(layers)
        )
        self.boundary_layers = nn.ModuleList(
            nn.ModuleList(BoundaryLayer(*shape, official_padding=official_padding) for _ in range(2))
            for _ in range(layers)
        )
        self.start_features, self.end_features = BoundaryFeatures(width), BoundaryFeatures(width)
        self.position = Mlp(2 * width, 2 * width, width)
        self.wave_scale = Mlp(width, width, width)
        self.reach = Mlp(width, width, 1)

    def forward(
        self,
        slots: Tensor,
        anchors: Tensor,
        refine: nn.ModuleList,
        clips: Tensor,
        memory: Tensor,
        position: Tensor,
        mask: Tensor,
    ) -> BoundarySlots:
        """The slots after every layer, and their anchors.

        Args:
            slots: [B, Q, 3, D] and anchors: [B, Q, 3] to start from.
            refine: for every layer three heads, from a part of the slots [B, Q, D] to the change [B, Q, 1] of the
                logit of its number of the anchors.
            clips: [B, L, D] that start and end are found by, not yet encoded among each other.
            memory, position: [B, L, D] encoded clips.
            mask: [B, L] true for real clips.
        """
        seen = None if self.official_padding else mask
        boundaries = [features(clips, seen) for features in (self.start_features, self.end_features)]
        sources = [torch.cat([memory, features], dim=-1) for features in boundaries]
        point, *ends = slots.unbind(2)
        hidden: list[Tensor] = []
        arrived: list[Tensor] = []
        for layer, pair, heads in zip(self.layers, self.boundary_layers, refine, strict=True):
            move_point, *move_ends = cast(nn.ModuleList, heads)
            point = layer(point, *self._embed(anchors, point, first=not hidden), memory, position, mask)
            moved = _move(anchors, move_point(point), None, None)
            edges = anchor_ends(moved.detach()).clamp(0, 1).unbind(-1)
            steps = zip(cast(nn.ModuleList, pair), ends, edges, sources, strict=True)
            ends = [step(end, edge, source, mask) for step, end, edge, source in steps]
            reached = _move(moved.detach(), None, *(move(end) for move, end in zip(move_ends, ends, strict=True)))
            hidden.append(torch.stack([point, *ends], dim=2))
            arrived.append(torch.cat([moved[..., :1], reached[..., 1:]], dim=-1))
            anchors = reached.detach()
        return BoundarySlots(
            hidden=torch.stack(hidden), anchors=torch.stack(arrived), boundaries=torch.stack(boundaries, dim=2)
        )

    def _embed(self, anchors: Tensor, point: Tensor, *, first: bool) -> tuple[Tensor, Tensor]:
        """Learned and sine embedding of the moments at the anchors, [B, Q, D] each."""
        moments = span_to_centre_width(anchor_ends(anchors).clamp(0, 1))
        waves = anchor_waves(moments, 2 * self.width)
        wave = waves[..., : self.width] if first else waves[..., : self.width] * self.wave_scale(point)
        return self.position(waves), wave * (self.reach(point).sigmoid() / moments[..., 1:])


def anchor_ends(anchors: Tensor) -> Tensor:
    """[..., 2] start and end, maybe outside the video, from [..., 3] a point and the reach before and after it."""
    point, before, after = anchors.unbind(-1)
    return torch.stack([point - before, point + after], dim=-1)


def _move(anchors: Tensor, *changes: Tensor | None) -> Tensor:
    """Anchors [B, Q, 3] whose logits change by [B, Q, 1] each, where given; all three are bounded as logits are."""
    whole = [torch.zeros_like(anchors[..., :1]) if change is None else change for change in changes]
    return (torch.cat(whole, dim=-1) + fraction_logits(anchors)).sigmoid()

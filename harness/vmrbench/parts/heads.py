"""What stands before and after a transformer: input projections, and heads that read its result."""

from __future__ import annotations

from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

from vmrbench.parts.anchors import fraction_logits
from vmrbench.parts.slots import Slots


class Mlp(nn.Module):
    """Linear layers with a ReLU between each two. widths: of the input, of every layer's result."""

    def __init__(self, *widths: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))

    def forward(self, rows: Tensor) -> Tensor:
        """[..., widths[0]] to [..., widths[-1]]."""
        for position, layer in enumerate(self.layers):
            rows = layer(F.relu(rows) if position else rows)
        return rows


class ProjectionLayer(nn.Module):
    """Norm, dropout, linear layer, and a ReLU if `relu`."""

    def __init__(self, width: int, out_width: int, dropout: float, *, relu: bool) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(width, out_width)
        self.relu = relu

    def forward(self, rows: Tensor) -> Tensor:
        """[..., width] to [..., out_width]."""
        rows = self.linear(self.dropout(self.norm(rows)))
        return F.relu(rows) if self.relu else rows


def input_projection(width: int, out_width: int, layers: int, dropout: float) -> nn.Sequential:
    """Features to the width of the model: `layers` projections, a ReLU after each but the last."""
    widths = [width] + [out_width] * layers
    return nn.Sequential(
        *(ProjectionLayer(widths[i], widths[i + 1], dropout, relu=i < layers - 1) for i in range(layers))
    )


class SlotHeads(nn.Module):
    """Reads a moment and its label from every slot. width: D of the slots."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.span = Mlp(width, width, width, 2)
        self.label = nn.Linear(width, 2)

    def forward(self, hidden: Tensor, anchors: Tensor | None = None) -> Slots:
        """Slots from hidden [B, Q, D]; the spans are relative to anchors [B, Q, 2], where they are given."""
        spans = self.span(hidden) if anchors is None else self.span(hidden) + fraction_logits(anchors)
        return Slots(logits=self.label(hidden), spans=spans.sigmoid())

    def of_layers(self, hidden: Tensor, anchors: Tensor, last: Slots) -> list[Slots]:
        """What every decoder layer predicts, for auxiliary losses.

        Args:
            hidden: [layers, B, Q, D].
            anchors: [layers, B, Q, 2] where the slots of each layer stood.
            last: what has been read of the last layer already.
        """
        return [*(self(*layer) for layer in zip(hidden[:-1], anchors[:-1], strict=True)), last]


class DotSaliency(nn.Module):
    """Saliency of every clip: the dot product of its projection with that of a summary of video and query.

    Args:
        width: D.
        summarised: false for a head that adds up the channels of the clip's projection instead (TR-DETR).

    Source:
        Moon et al., QD-DETR, 2023: what counts as salient is adapted to each pair of video and query.
    """

    def __init__(self, width: int, *, summarised: bool = True) -> None:
        super().__init__()
        self.clips = nn.Linear(width, width)
        self.summary = nn.Linear(width, width) if summarised else None

    def forward(self, clips: Tensor, summary: Tensor | None = None) -> Tensor:
        """[B, L] from clips [B, L, D] and summary [B, D]; unbounded, padded clips too."""
        projected = self.clips(clips)
        if self.summary is not None:
            assert summary is not None
            projected = projected * self.summary(summary)[:, None]
        scores: Tensor = projected.sum(-1) / clips.shape[-1] ** 0.5
        return scores

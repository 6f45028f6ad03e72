"""How well a predicted moment fits, foretold: its IoU with the truth, which then ranks the predictions.

Source: Lee and Byun, BAM-DETR, 2024, as in its code.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vmrbench.parts.heads import Mlp
from vmrbench.parts.slots import Slots

GOOD, POOR = 0.7, 0.3  # IoU above which a moment fits, and up to which it does not.


class QualityHead(nn.Module):
    """Reads from the parts of a slot, for point, start and end, how well its moment fits. width: D of a part."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.mlp = Mlp(3 * width, width, width, 1)

    def forward(self, hidden: Tensor) -> Tensor:
        """[...] logits of the IoU from [..., 3, D]; the boundaries are taken relative to the point."""
        point, boundaries = hidden[..., :1, :], hidden[..., 1:, :]
        logits: Tensor = self.mlp(torch.cat([point, boundaries - point], dim=-2).flatten(-2))[..., 0]
        return logits


def quality_slots(quality: Tensor, spans: Tensor) -> Slots:
    """Slots whose probability of "a moment" is the quality foretold, so that it ranks them.

    Args:
        quality: [B, Q] logits.
        spans: [B, Q, 2] centre and width as fractions of the clip axis.
    """
    return Slots(logits=torch.stack([quality, torch.zeros_like(quality)], dim=-1), spans=spans)


def quality_loss(quality: Tensor, overlap: Tensor) -> Tensor:
    """Distance of the quality foretold and the IoU: mean over good, fair and poor moments each, then over the three.

    The means are taken over the batch; a kind that it lacks counts 0.

    Args:
        quality: [B, Q] in 0..1.
        overlap: [B, Q] best IoU with a true moment, without a gradient.
    """
    kinds = torch.stack([overlap > GOOD, (overlap <= GOOD) & (overlap > POOR), overlap <= POOR])
    distance = (quality - overlap).abs() * kinds
    return (distance.sum((1, 2)) / kinds.sum((1, 2)).clamp(min=1)).mean()

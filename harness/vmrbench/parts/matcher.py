"""Which slot answers for which true moment: the cheapest one-to-one assignment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from vmrbench.option_types import NotNegative
from vmrbench.parts.slots import FOREGROUND, Slots
from vmrbench.spans import centre_width_to_span, generalised_iou


@dataclass(frozen=True, kw_only=True)
class MatchCosts:
    """Weights of the three costs of a match: distance of centres and widths, generalised IoU, and label."""

    span: NotNegative = 10.0
    giou: NotNegative = 1.0
    label: NotNegative = 4.0


@dataclass(frozen=True, kw_only=True)
class Matching:
    """P matched pairs. sample, slot, truth: [P] index of the sample, of its slot, of its true moment."""

    sample: Tensor
    slot: Tensor
    truth: Tensor


@torch.no_grad()
def match_slots(slots: Slots, truth: Sequence[Tensor], costs: MatchCosts, *, ends: bool = False) -> Matching:
    """The assignment of least cost, sample by sample.

    Args:
        slots: predictions of B samples.
        truth: for each sample its true moments [M, 2], centre and width as fractions of the clip axis; M may be 0.
        costs: weights.
        ends: compare starts and ends, cut at those of the video, rather than centres and widths.

    Returns:
        min(Q, M) pairs a sample.

    Source:
        Carion et al., End-to-End Object Detection with Transformers, 2020; Lei et al., QVHighlights, 2021.
    """
    from scipy.optimize import linear_sum_assignment  # Slow to import, and read in training only.

    cost = _cost_matrix(slots, pad_sequence(list(truth), batch_first=True), costs, ends).numpy(force=True)
    pairs: list[tuple[int, int, int]] = []
    for sample, moments in enumerate(truth):
        rows, columns = linear_sum_assignment(cost[sample, :, : len(moments)])
        pairs += [(sample, int(slot), int(moment)) for slot, moment in zip(rows, columns, strict=True)]
    table = torch.tensor(pairs, dtype=torch.long, device=slots.logits.device).reshape(-1, 3)
    return Matching(sample=table[:, 0], slot=table[:, 1], truth=table[:, 2])


def _cost_matrix(slots: Slots, truth: Tensor, costs: MatchCosts, ends: bool) -> Tensor:
    """[B, Q, M] cost of every slot for every true moment; truth: [B, M, 2], padded."""
    spans = slots.spans.float()
    found, wanted = centre_width_to_span(spans), centre_width_to_span(truth)
    if ends:
        found = found.clamp(0, 1)
        spans, truth = found, wanted
    distance = (spans[:, :, None] - truth[:, None]).abs().sum(-1)
    overlap = generalised_iou(found, wanted)
    label = slots.logits.float().softmax(-1)[..., FOREGROUND, None]
    return costs.span * distance - costs.giou * overlap - costs.label * label

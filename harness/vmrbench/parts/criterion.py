"""Set prediction losses of a DETR: match slots with true moments, then compare."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from vmrbench.option_types import NotNegative
from vmrbench.parts.focal_loss import focal_loss
from vmrbench.parts.matcher import MatchCosts, Matching, match_slots
from vmrbench.parts.slots import FOREGROUND, NO_OBJECT, Slots
from vmrbench.spans import centre_width_to_span, generalised_iou


@dataclass(frozen=True, kw_only=True)
class SetWeights:
    """Weights of the terms, and of a "no object" slot inside the label term."""

    span: NotNegative = 10.0
    giou: NotNegative = 1.0
    label: NotNegative = 4.0
    no_object: NotNegative = 0.1


def set_losses(
    layers: Sequence[Slots],
    truth: Sequence[Tensor],
    costs: MatchCosts,
    weights: SetWeights,
    *,
    ends: bool = False,
    focal: bool = False,
) -> dict[str, Tensor]:
    """Weighted terms `span`, `giou`, `label` of the last layer; those of layer i before it end in `_i`.

    Every layer is matched on its own. A batch without any true moment has span and giou terms of 0.

    Args:
        layers: predictions of every decoder layer, the last one last.
        truth: for each sample its true moments [M, 2], centre and width as fractions of the clip axis.
        costs: of the matching.
        weights: of the terms.
        ends: the span term, and the matching, compare starts and ends rather than centres and widths.
        focal: the label term is a focal loss of both labels, in which `weights.no_object` has no part (TR-DETR).
    """
    terms = []
    for slots in layers:
        matching = match_slots(slots, truth, costs, ends=ends)
        label = _focal_label_loss(slots.logits, matching) if focal else _label_loss(slots.logits, matching, weights)
        terms.append({**span_losses(slots, truth, matching, weights, ends=ends), "label": weights.label * label})
    return numbered_terms(terms)


def numbered_terms(layers: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """The terms of every layer under one roof: those of the last one keep their names, those of layer i end in `_i`."""
    last = len(layers) - 1
    return {
        name if place == last else f"{name}_{place}": term
        for place, terms in enumerate(layers)
        for name, term in terms.items()
    }


def span_losses(
    slots: Slots, truth: Sequence[Tensor], matching: Matching, weights: SetWeights, *, ends: bool = False
) -> dict[str, Tensor]:
    """Weighted terms `span` and `giou` of the pairs in `matching`; 0 where there is none."""
    wanted = _matched_truth(truth, matching)
    found = slots.spans[matching.sample, matching.slot]
    pairs = max(len(found), 1)
    found_ends, wanted_ends = centre_width_to_span(found), centre_width_to_span(wanted)
    distance = (found_ends - wanted_ends if ends else found - wanted).abs().sum() / (2 * pairs)
    overlap = generalised_iou(found_ends[:, None], wanted_ends[:, None])
    return {
        "span": weights.span * distance,
        "giou": weights.giou * (1 - overlap).sum() / pairs,
    }


def _matched_truth(truth: Sequence[Tensor], matching: Matching) -> Tensor:
    """[P, 2] the true moment of every pair; matching.truth counts inside a sample, so samples are offset."""
    counts = [len(moments) for moments in truth]
    offset = torch.tensor([sum(counts[:i]) for i in range(len(counts))], device=matching.truth.device)
    return torch.cat(list(truth))[offset[matching.sample] + matching.truth]


def _label_loss(logits: Tensor, matching: Matching, weights: SetWeights) -> Tensor:
    """Mean over all slots of the cross-entropy times its weight (not divided by the weights' sum)."""
    wanted = _wanted_labels(logits, matching)
    weight = torch.where(wanted == FOREGROUND, 1.0, weights.no_object)
    return (F.cross_entropy(logits.transpose(1, 2), wanted, reduction="none") * weight).mean()


def _focal_label_loss(logits: Tensor, matching: Matching) -> Tensor:
    """Mean over all slots and both labels, each an answer of its own."""
    return focal_loss(logits, F.one_hot(_wanted_labels(logits, matching), 2).to(logits.dtype)).mean()


def _wanted_labels(logits: Tensor, matching: Matching) -> Tensor:
    """[B, Q] which of the two labels every slot should have."""
    wanted = torch.full(logits.shape[:2], NO_OBJECT, device=logits.device)
    wanted[matching.sample, matching.slot] = FOREGROUND
    return wanted

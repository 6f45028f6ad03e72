"""What a DETR predicts, a moment a slot, and what it is compared with."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from vmrbench.spans import centre_width_to_span
from vmrbench.types import AxisMoments

FOREGROUND, NO_OBJECT = 0, 1


@dataclass(frozen=True, kw_only=True)
class Slots:
    """One moment a slot.

    logits: [B, Q, 2], index 0 is "a moment" and 1 is "no object"; spans: [B, Q, 2] centre and width, as fractions of
    the clip axis.
    """

    logits: Tensor
    spans: Tensor


def slot_moments(slots: Slots, lengths: Tensor) -> AxisMoments:
    """Slots as moments on the clip axis, in slot order, scored by the probability of "a moment".

    Args:
        slots: of B samples.
        lengths: [B] real clips.
    """
    count = lengths.to(slots.spans.dtype)[:, None, None]
    spans = centre_width_to_span(slots.spans).clamp(0, 1) * count
    return AxisMoments(spans=spans, scores=slots.logits.softmax(-1)[..., FOREGROUND])


def slot_candidates(slots: Slots) -> Tensor:
    """[B, Q] logit of "a moment" against "no object"."""
    return slots.logits[..., FOREGROUND] - slots.logits[..., NO_OBJECT]

"""True moments as targets of clips that each predict one: which clips belong to a moment, and to which."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from vmrbench.trim.labels import moment_fractions
from vmrbench.types import Batch

ROUNDING = 1e-4  # Of a clip: rounding must not decide whether an anchor at the edge of a moment lies in it.


@dataclass(frozen=True, kw_only=True)
class AnchorLabels:
    """inside: [B, L] true for a clip that belongs to a moment; spans: [B, L, 2] that moment, as fractions; else 0."""

    inside: Tensor
    spans: Tensor


def anchors(batch: Batch, place: float) -> Tensor:
    """[B, L] where the anchor of every clip stands, as a fraction of the clip axis.

    Args:
        batch: its lengths.
        place: of the anchor in its clip, 0 at its start, 0.5 in the middle, 1 at its end.
    """
    clip = torch.arange(batch.clip_mask.shape[1], device=batch.clip_mask.device) + place
    return clip / batch.lengths[:, None]


def anchor_labels(batch: Batch, place: float) -> AnchorLabels:
    """A clip belongs to the last moment in the list that its anchor lies in; for training, on the host.

    A moment that no anchor lies in, because it is too short, gets the clip whose anchor is nearest to its middle.

    Args:
        batch: with labels.
        place: of the anchors, see `anchors`.

    Raises:
        ValueError: the batch has no labels.

    Source:
        The data loader of UniVTG (Lin et al., 2023), which gives the clip where it starts to a moment without anchor.
    """
    places = anchors(batch, place)
    inside, spans = torch.zeros_like(batch.clip_mask), places.new_zeros(*places.shape, 2)
    for row, moments in enumerate(moment_fractions(batch)):
        count = int(batch.clip_mask[row].sum())
        here = places[row, :count, None]
        holds = (here >= moments[:, 0] - ROUNDING / count) & (here <= moments[:, 1] + ROUNDING / count)
        for moment in range(len(moments)):
            if not holds[:, moment].any():
                holds[(here[:, 0] - moments[moment].mean()).abs().argmin(), moment] = True
            inside[row, :count] |= holds[:, moment]
            spans[row, :count][holds[:, moment]] = moments[moment]
    return AnchorLabels(inside=inside, spans=spans)

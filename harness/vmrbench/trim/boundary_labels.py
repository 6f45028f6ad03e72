"""True moments as clips where they start and end, and as clips that they cover."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from vmrbench.spans import iou_matrix
from vmrbench.trim.labels import moment_fractions
from vmrbench.types import Batch


@dataclass(frozen=True, kw_only=True)
class BoundaryLabels:
    """Targets on clips, zero for a sample without a moment.

    start, end: [B, L] distributions, the share of the sample's moments that start and end in the clip; inside:
    [B, L] 1 for a clip of a moment, its margins included, else 0.
    """

    start: Tensor
    end: Tensor
    inside: Tensor


def boundary_labels(batch: Batch, margin: float) -> BoundaryLabels:
    """Labels from the run of whole clips that overlaps each moment best; for training, on the host.

    Args:
        batch: with labels.
        margin: share of a moment's clips that counts as inside before and after it, rounded to whole clips.

    Raises:
        ValueError: the batch has no labels.

    Source:
        The data loader of VSLNet (Zhang et al., 2020).
    """
    start, end, inside = (torch.zeros_like(batch.clip_start) for _ in range(3))
    counts = batch.lengths.tolist()
    for row, (spans, count) in enumerate(zip(moment_fractions(batch), counts, strict=True)):
        for first, last in whole_clips(spans * count, count):
            start[row, first] += 1 / len(spans)
            end[row, last] += 1 / len(spans)
            more = round(margin * (last - first + 1))
            inside[row, max(0, first - more) : min(last + more, count - 1) + 1] = 1
    return BoundaryLabels(start=start, end=end, inside=inside)


def whole_clips(spans: Tensor, count: int) -> list[tuple[int, int]]:
    """For each span the first and the last clip of the run that overlaps it best, the earlier one of equals.

    Args:
        spans: [M, 2] start and end on the clip axis.
        count: clips of the video, at least 1.
    """
    found = []
    for span in spans:
        # The best start is one of the two clip edges around the true one, whatever the end is, and so is the best end.
        starts = span[0].floor().clamp(max=count - 1) + torch.tensor([0.0, 0.0, 1.0, 1.0], device=span.device)
        ends = span[1].floor() + torch.tensor([0.0, 1.0, 0.0, 1.0], device=span.device)
        runs = torch.stack([starts, torch.maximum(ends, starts + 1)], dim=-1).clamp(max=count)
        first, stop = runs[iou_matrix(runs, span[None])[:, 0].argmax()].long().tolist()
        found.append((first, stop - 1))
    return found

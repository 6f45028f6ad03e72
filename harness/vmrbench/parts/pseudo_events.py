"""Events of a video without labels: stretches between clips where its features change most."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from vmrbench.spans import span_to_centre_width


def pseudo_events(rows: Tensor, row_mask: Tensor, *, official_padding: bool = False) -> list[Tensor]:
    """For each sample its events [E, 2], centre and width as fractions of the real rows.

    Looks at values on the host: for losses, not for inference.

    Args:
        rows: [B, L, D] features of the clips.
        row_mask: [B, L] true for real rows, real ones first.
        official_padding: do as the official EaTR does: the mean that is the threshold, and the boundaries, take padded
            rows in; and the last boundary of the batch is paired with the first, which gives the sample in the middle
            of a batch of odd size one more event, often of negative width.

    Source:
        Jang et al., EaTR, 2023, as in its code.
    """
    boundaries = _boundaries(rows, row_mask, official_padding=official_padding)
    places = [row.nonzero()[:, 0] for row in boundaries]
    ends = [torch.stack([place[:-1], place[1:]], dim=-1) for place in places]
    middle, even = divmod(len(ends) - 1, 2)
    if official_padding and not even:
        around = torch.stack([places[-1][-1:], places[0][:1]], dim=-1)
        ends[middle] = torch.cat([around, ends[middle]])
    lengths = row_mask.sum(1).to(rows.dtype)
    return [span_to_centre_width(pairs.to(rows.dtype)) / length for pairs, length in zip(ends, lengths, strict=True)]


def _boundaries(rows: Tensor, row_mask: Tensor, *, official_padding: bool) -> Tensor:
    """[B, L] true for the first and the last real row, and for those that change most among their neighbours.

    Such a row changes no less than the rows beside it, and no less than the mean.
    """
    change = change_around(rows * row_mask[..., None])
    counted = torch.ones_like(row_mask) if official_padding else row_mask
    mean = (change * counted).sum(1, keepdim=True) / counted.sum(1, keepdim=True)
    place, last = torch.arange(rows.shape[1], device=rows.device), row_mask.sum(1, keepdim=True) - 1
    change = change.masked_fill((place == 0) | (place == last), torch.inf)
    greatest = (change >= change.roll(1, 1)) & (change >= change.roll(-1, 1)) & (change >= mean)
    return greatest & counted


def change_around(rows: Tensor) -> Tensor:
    """[B, L] squared length of the difference between the two rows before a row and the two after it.

    Rows count with length 1, those beyond the ends as zero. It is what a contrastive kernel of five by five gives on
    the diagonal of the rows' similarity matrix, since the kernel is an outer product.
    """
    unit = F.pad(rows / (rows.norm(dim=2, keepdim=True) + 1e-8), (0, 0, 2, 2))
    size = rows.shape[1]
    before, after = unit[:, :size] + unit[:, 1 : size + 1], unit[:, 3 : size + 3] + unit[:, 4 : size + 4]
    return (before - after).square().sum(-1)

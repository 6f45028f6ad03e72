"""A learned token ahead of the clips, which comes out of an encoder as a summary of the video."""

from __future__ import annotations

import torch
from torch import Tensor


def with_global_token(
    token: Tensor, place: Tensor, rows: Tensor, position: Tensor, mask: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Rows, positions and mask with one row more in front, the same in every sample.

    Args:
        token, place: [D] the row and its position.
        rows, position: [B, L, D].
        mask: [B, L] true for real rows.

    Returns:
        [B, 1 + L, D] twice, and [B, 1 + L].
    """
    first = rows.new_zeros(len(rows), 1, 1)
    return (
        torch.cat([first + token, rows], dim=1),
        torch.cat([first + place, position], dim=1),
        torch.cat([torch.ones_like(mask[:, :1]), mask], dim=1),
    )

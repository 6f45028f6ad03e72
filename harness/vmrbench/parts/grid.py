"""A fixed grid over a video of any length: rows to frames, frames to cells, cells back to rows.

A cell averages the rows that hold expensive features; a cell without any averages all its rows.
"""

from __future__ import annotations

import torch
from torch import Tensor


def frame_membership(clip_mask: Tensor, frames: int) -> Tensor:
    """Which rows a frame averages when every video is resampled to the same number of frames.

    Frame f takes the rows from round(f n / F) up to round((f + 1) n / F), both at most n - 1, or that first row alone
    where nothing lies between.

    Args:
        clip_mask: [B, L] true for real rows; n of them.
        frames: F.

    Returns:
        [B, F, L] 0 or 1.

    Source:
        Zhang et al., 2D-TAN, 2020, `average_to_fixed_length` of its code.
    """
    count = clip_mask.sum(1, keepdim=True)
    edge = torch.arange(frames + 1, dtype=torch.float32, device=clip_mask.device) / frames
    edges = torch.minimum(torch.round(edge * count).long(), count - 1)
    first = edges[:, :-1, None]
    after = torch.maximum(edges[:, 1:, None], first + 1)
    row = torch.arange(clip_mask.shape[1], device=clip_mask.device)
    return ((row >= first) & (row < after)).to(torch.float32)


def mean_weights(membership: Tensor, fine_weight: Tensor) -> tuple[Tensor, Tensor]:
    """Weights of the rows in each cell's mean: its fine rows, or all its rows where none is fine.

    Args:
        membership: [B, F, L] 0 or 1, at least one row a cell.
        fine_weight: [B, L] 1 where the row holds expensive features, else 0.

    Returns:
        [B, F, L] weights that sum to 1 over L, and [B, F] 1 for the cells that have a fine row, else 0.
    """
    fine = membership * fine_weight[:, None]
    has_fine = fine.sum(-1, keepdim=True) > 0
    used = torch.where(has_fine, fine, membership)
    return used / used.sum(-1, keepdim=True), has_fine[..., 0].to(fine.dtype)


def pool_frames(frames: Tensor, frame_fine: Tensor, cells: int) -> Tensor:
    """Mean over equal runs of frames: of the fine ones, or of all where none is fine.

    Args:
        frames: [B, D, F].
        frame_fine: [B, F] 1 where the frame has a fine row, else 0.
        cells: N, a divisor of F.

    Returns:
        [B, D, N].
    """
    fine = frame_fine.reshape(len(frame_fine), cells, -1)
    used = torch.where(fine.sum(-1, keepdim=True) > 0, fine, torch.ones_like(fine))
    weight = used / used.sum(-1, keepdim=True)
    return (frames.reshape(*frames.shape[:2], cells, -1) * weight[:, None]).sum(-1)


def cells_to_rows(clip_mask: Tensor, cells: int) -> Tensor:
    """Weights that bring values of grid cells back to rows: how much of a row lies in each cell.

    Args:
        clip_mask: [B, L] true for real rows; n of them share the N cells evenly.
        cells: N.

    Returns:
        [B, L, N] weights that sum to 1 over N for a real row and are 0 for padding.
    """
    count = clip_mask.sum(1).to(torch.float32)[:, None, None]
    row = torch.arange(clip_mask.shape[1], device=clip_mask.device)[None, :, None]
    cell = torch.arange(cells, device=clip_mask.device) * (count / cells)
    overlap = torch.minimum(row + 1, cell + count / cells) - torch.maximum(row.to(cell.dtype), cell)
    weight = overlap.clamp(min=0) * clip_mask[..., None]
    return weight / weight.sum(-1, keepdim=True).clamp(min=torch.finfo(weight.dtype).tiny)

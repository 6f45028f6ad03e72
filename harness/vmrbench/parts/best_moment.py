"""The clips of the moment that scores best, read as one vector and compared with every clip."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vmrbench.parts.slots import Slots, slot_candidates
from vmrbench.spans import centre_width_to_span


class BestMomentLikeness(nn.Module):
    """How much every clip is like the best moment: its dot product with what a GRU reads from the moment's clips.

    The state is that after the moment's last clip, and a moment that starts before the video starts with it.

    Args:
        width: D.
        official_padding: do as the official TR-DETR does: lay the moment on the padded video, let a start before the
            video count from its end, as an index in Python does, and read zeros behind the moment up to the padded
            length of the video.

    Source:
        Sun et al., TR-DETR, 2024, as in its code.
    """

    def __init__(self, width: int, *, official_padding: bool = False) -> None:
        super().__init__()
        self.recurrent = nn.GRU(width, width, batch_first=True)
        self.official_padding = official_padding

    def forward(self, clips: Tensor, clip_mask: Tensor, slots: Slots) -> Tensor:
        """[B, L] from clips [B, L, D], clip_mask [B, L] true for real clips, and slots whose best one is the moment."""
        if self.official_padding:
            lengths = clip_mask.new_full((len(clips),), clips.shape[1], dtype=torch.long)
            first, last = _best_span(slots, lengths).unbind(1)
            first = torch.where(first < 0, first + lengths, first)
        else:
            lengths = clip_mask.sum(1)
            first, last = _best_span(slots, lengths).clamp(min=0).unbind(1)
            first = torch.minimum(first, lengths - 1)
        count = torch.minimum(last + 1, lengths) - first
        read = lengths if self.official_padding else count
        states = self.recurrent(moved_to_front(clips, first, count))[0]
        moment = states.gather(1, (read - 1)[:, None, None].expand(-1, 1, states.shape[-1]))
        likeness: Tensor = (clips @ moment.transpose(1, 2))[..., 0]
        return likeness


def moved_to_front(rows: Tensor, first: Tensor, count: Tensor) -> Tensor:
    """[B, L, D] of rows [B, L, D] those from `first` on, `count` [B] of them, and zeros behind."""
    place = torch.arange(rows.shape[1], device=rows.device)
    source = (first[:, None] + place).clamp(max=rows.shape[1] - 1)
    return rows.gather(1, source[..., None].expand_as(rows)) * (place < count[:, None])[..., None]


def _best_span(slots: Slots, lengths: Tensor) -> Tensor:
    """[B, 2] numbers of the clips that the best slot starts and ends in; they may lie outside the video."""
    best = slot_candidates(slots).argmax(1)[:, None, None].expand(-1, 1, 2)
    span = centre_width_to_span(slots.spans.gather(1, best)[:, 0])
    return (span * lengths[:, None]).floor().long()

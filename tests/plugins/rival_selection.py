"""How tests let a trimmer choose: expensive features withheld and counted."""

from __future__ import annotations

import torch
from torch import nn

from vmrbench.trim.access import CountingAccess, withhold_clips
from vmrbench.trim.fill import ConcatZero
from vmrbench.types import Batch, TrimDecision


class Says(nn.Module):
    """Gives the same scores, whatever it is asked."""

    def __init__(self, scores: torch.Tensor) -> None:
        super().__init__()
        self.scores = scores

    def forward(self, *asked: object) -> torch.Tensor:
        return self.scores


def decide(trimmer: nn.Module, batch: Batch) -> tuple[TrimDecision, CountingAccess]:
    """The decision on a batch of factory widths (16 expensive, 8 index, 12 text), and what was fetched for it."""
    access = CountingAccess(batch, ConcatZero(16, 8), None, training=trimmer.training)
    return trimmer.select(withhold_clips(batch), access), access


def places(keep: torch.Tensor) -> list[int]:
    """Positions of the kept clips of one sample."""
    return keep.nonzero().flatten().tolist()

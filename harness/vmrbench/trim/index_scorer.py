"""A small network that scores every clip from its index features and the query, for selectors that need no more."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vmrbench.parts.private_encoder import PrivateEncoder
from vmrbench.protocols import ClipAccess
from vmrbench.specs import TrimDims
from vmrbench.trim.fill import index_of
from vmrbench.types import Batch


class IndexScorer(nn.Module):
    """An encoder of index and query, and a head of two layers on top.

    Args:
        dims: widths.
        width: of the private encoder.
        outputs: numbers for each clip.
        share_encoder: read the backbone's own encoder on rows without expensive features instead, where it offers one.
            What the scorer then learns reaches that encoder too.
    """

    def __init__(self, dims: TrimDims, *, width: int, outputs: int = 1, share_encoder: bool = False) -> None:
        super().__init__()
        shared = dims.embedding if share_encoder else None
        self.shares_encoder = shared is not None
        self.private = PrivateEncoder(dims.index, dims.text, width) if shared is None else None
        width = width if shared is None else shared
        self.head = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, outputs))

    def start_from_zero(self) -> None:
        """Score every clip 0 until something is learned."""
        for parameter in self.head[2].parameters():
            nn.init.zeros_(parameter)

    def forward(self, batch: Batch, access: ClipAccess) -> Tensor:
        """[B, L, outputs], zero on padding; fetches nothing."""
        if self.private is None:
            hidden = access.preview(torch.zeros_like(batch.clip_start))
            assert hidden is not None
        else:
            words = self.private.encode_query(batch.query, batch.query_mask)
            hidden = self.private(index_of(batch), batch.clip_mask, words, batch.query_mask)
        scores: Tensor = self.head(hidden).float()
        return scores * batch.clip_mask[..., None]

"""What a trimmer may see of the expensive side: only clips it has kept, each fetched once and counted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from vmrbench.protocols import SharesEncoder
from vmrbench.trim.gather import TakenRows, take_rows
from vmrbench.types import Batch

Fill = Callable[[Batch, Tensor, Tensor], Batch]


def withhold_clips(batch: Batch) -> Batch:
    """The batch a trimmer gets: no expensive features ([B, L, 0])."""
    return replace(batch, clips=batch.clips[..., :0], fine_weight=torch.zeros_like(batch.fine_weight), finer=None)


def withhold_features(batch: Batch) -> Batch:
    """The batch a query-blind backbone gets: times and durations; zeros for clips and for a query of one token."""
    return replace(
        batch,
        clips=torch.zeros_like(batch.clips),
        index=None,
        fine_weight=torch.zeros_like(batch.fine_weight),
        query=torch.zeros_like(batch.query[:, :1]),
        query_mask=torch.ones_like(batch.query_mask[:, :1]),
        extra={},
        finer=None,
    )


class CountingAccess:
    """Expensive features on request.

    At inference (`training=False`) a clip is read when it is first kept and its features are held back until then;
    in training all of them are known and the gradient to `keep` reaches every clip.

    lender: whose encoder previews use, None where there is none.

    fetched: [B, L] boolean, what has been asked for so far; reads: [B, L] how often each clip was read.
    """

    def __init__(self, batch: Batch, fill: Fill, lender: SharesEncoder | None, *, training: bool) -> None:
        self._source, self._withheld = batch, withhold_clips(batch)
        self._fill, self._lender, self._training = fill, lender, training
        self._query: Any = None
        self.fetched = torch.zeros_like(batch.clip_mask)
        self.reads = torch.zeros_like(batch.clip_mask, dtype=torch.long)

    def fetch(self, keep: Tensor) -> Tensor:
        """[B, L, D] expensive features of the clips in `keep` [B, L], zero elsewhere; reads only new ones."""
        self._read(keep.detach() > 0)
        return self._held() * keep.to(self._source.clips.dtype)[..., None]

    def fetch_clip(self, place: int, keep: Tensor) -> Tensor:
        """[B, D] expensive features of the clip at `place` where `keep` [B] is 1, else zero; reads only new ones."""
        wanted = torch.zeros_like(self.fetched)
        wanted[:, place] = keep.detach() > 0
        self._read(wanted)
        clip = self._source.clips[:, place]
        held = clip if self._training else torch.where(self.fetched[:, place, None], clip, 0)
        return held * keep.to(clip.dtype)[:, None]

    def rows(self, keep: Tensor) -> Batch:
        """The batch a backbone reads when `keep` [B, L] has expensive features."""
        return self._fill(self._withheld, self._fine(keep), keep)

    def gathered(self, keep: Tensor, taken: TakenRows) -> Batch:
        """The batch a backbone reads under `gather`: the rows `taken` alone, of which `keep` [B, L] are expensive."""
        return self._fill(take_rows(self._withheld, taken), taken.of(self._fine(keep)), taken.of(keep))

    def preview(self, keep: Tensor) -> Tensor | None:
        """[B, L, d] the backbone's own encoder on `rows(keep)`; None where it shares none."""
        if self._lender is None:
            return None
        if self._query is None:
            self._query = self._lender.encode_query(self._withheld)
        return self._lender.encode(self.rows(keep), self._query)

    def _fine(self, keep: Tensor) -> Tensor:
        if not self._training:
            return self.fetch(keep)
        self._read(keep.detach() > 0)
        return self._source.clips

    def _read(self, wanted: Tensor) -> None:
        new = wanted & self._source.clip_mask & ~self.fetched
        self.reads = self.reads + new
        self.fetched = self.fetched | new

    def _held(self) -> Tensor:
        """[B, L, D] what the trimmer may know by now: in training everything, else clips that were fetched."""
        clips = self._source.clips
        return clips if self._training else torch.where(self.fetched[..., None], clips, 0)

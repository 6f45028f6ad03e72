"""From samples to one padded batch."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from vmrbench.types import Batch, FinerClips, Sample


def collate(samples: Sequence[Sample]) -> Batch:
    """Pad samples to the longest of them; padded rows are zero everywhere, every real row has `fine_weight` 1.

    Raises:
        ValueError: no sample, samples of different widths, or an index in some samples only.
    """
    if not samples:
        raise ValueError("no sample to collate")
    return Batch(
        sample_ids=tuple(s.annotation.sample_id for s in samples),
        video_ids=tuple(s.annotation.video_id for s in samples),
        clips=_pad([s.clips for s in samples], "clips"),
        clip_mask=(clip_mask := _mask([len(s.clips) for s in samples])),
        clip_start=_pad([s.clip_start for s in samples], "clip_start"),
        clip_end=_pad([s.clip_end for s in samples], "clip_end"),
        index=_pad_index(samples),
        fine_weight=clip_mask.to(samples[0].clips.dtype),
        query=_pad([s.query for s in samples], "query"),
        query_mask=_mask([len(s.query) for s in samples]),
        duration=torch.tensor([s.annotation.duration for s in samples], dtype=torch.float32),
        moments=tuple(_moments(s) for s in samples),
        finer=_finer(samples),
    )


def _finer(samples: Sequence[Sample]) -> FinerClips | None:
    found = [s.finer for s in samples if s.finer is not None]
    if not found:
        return None
    if len(found) < len(samples):
        raise ValueError(f"{len(samples) - len(found)} of {len(samples)} samples of a batch have no finer clips")
    return FinerClips(
        clips=_pad([f.clips for f in found], "finer clips"),
        mask=_mask([len(f.clips) for f in found]),
        clip_start=_pad([f.clip_start for f in found], "clip_start"),
        clip_end=_pad([f.clip_end for f in found], "clip_end"),
    )


def _pad(rows: list[Tensor], name: str) -> Tensor:
    widths = sorted({tuple(r.shape[1:]) for r in rows})
    if len(widths) > 1:
        raise ValueError(f"samples of one batch differ in the width of {name}: {widths}")
    return pad_sequence(rows, batch_first=True)


def _mask(lengths: list[int]) -> Tensor:
    return torch.arange(max(lengths))[None] < torch.tensor(lengths)[:, None]


def _pad_index(samples: Sequence[Sample]) -> Tensor | None:
    found = [s.index for s in samples if s.index is not None]
    if not found:
        return None
    if len(found) < len(samples):
        raise ValueError(f"{len(samples) - len(found)} of {len(samples)} samples of a batch have no index features")
    return _pad(found, "index")


def _moments(sample: Sample) -> Tensor:
    return torch.tensor(sample.annotation.moments, dtype=torch.float32).reshape(-1, 2)

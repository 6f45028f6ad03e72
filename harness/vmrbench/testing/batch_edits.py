"""The same samples in other company: more padding, fewer neighbours, no labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from vmrbench.types import Batch

_PER_CLIP = ("clips", "clip_mask", "clip_start", "clip_end", "index", "fine_weight")
_PER_TOKEN = ("query", "query_mask")


def take_samples(batch: Batch, rows: Sequence[int]) -> Batch:
    """The samples `rows` in that order, cut to the longest video and query among them."""
    order = list(rows)
    clips = int(batch.clip_mask[order].sum(1).max())
    tokens = int(batch.query_mask[order].sum(1).max())
    changed: dict[str, Any] = {}
    for names, length in ((_PER_CLIP, clips), (_PER_TOKEN, tokens)):
        changed |= {name: _cut(getattr(batch, name), order, length) for name in names}
    return replace(
        batch,
        **changed,
        sample_ids=tuple(batch.sample_ids[row] for row in order),
        video_ids=tuple(batch.video_ids[row] for row in order),
        duration=batch.duration[order],
        moments=None if batch.moments is None else tuple(batch.moments[row] for row in order),
        extra={name: value[order] for name, value in batch.extra.items()},
    )


def pad_batch(batch: Batch, clips: int, tokens: int) -> Batch:
    """The batch with that many more rows of padding behind every video and every query."""
    changed: dict[str, Any] = {}
    for names, more in ((_PER_CLIP, clips), (_PER_TOKEN, tokens)):
        changed |= {name: _pad(getattr(batch, name), more) for name in names}
    return replace(batch, **changed)


def without_labels(batch: Batch) -> Batch:
    """The batch as at test."""
    return replace(batch, moments=None)


def _cut(value: Tensor | None, rows: list[int], length: int) -> Tensor | None:
    return None if value is None else value[rows, :length]


def _pad(value: Tensor | None, more: int) -> Tensor | None:
    if value is None:
        return None
    behind = (0, more) if value.dim() == 2 else (0, 0, 0, more)
    return F.pad(value, behind)

"""What an arm learns in closed form, before any epoch: the regression of its fill, and the fit of its trimmer."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from vmrbench.config.cells import Cell
from vmrbench.engine.arm import Arm
from vmrbench.engine.loading import evaluation_batches, evaluation_loader
from vmrbench.engine.splits import Subset, split_of
from vmrbench.protocols import Fitted, Split
from vmrbench.trim.access import withhold_clips
from vmrbench.trim.fill import Adapter, index_of
from vmrbench.types import Batch

# Clips that the regression index -> fine is fitted on: far more than it has weights.
_FIT_CLIPS = 20_000
# Queries that a trimmer is fitted on.
_FIT_QUERIES, _FIT_BATCH = 2_000, 64


def fit_closed_form(cell: Cell, arm: Arm) -> None:
    """Fit what of the arm learns so, in place; only then is there need of a training split."""
    if isinstance(arm.fill, Adapter):
        _fit_adapter(arm, arm.fill, split_of(cell, "train"))
    if isinstance(arm.trimmer, Fitted):
        arm.trimmer.fit(_fitting_batches(arm, split_of(cell, "train")))


def _fitting_batches(arm: Arm, split: Split) -> Iterator[Batch]:
    """Queries spread evenly over the split, as a trimmer sees them; nothing is read before it is asked for."""
    count = min(_FIT_QUERIES, len(split))
    chosen = Subset(split, [place * len(split) // count for place in range(count)])
    for batch in evaluation_loader(chosen, evaluation_batches(chosen, _FIT_BATCH)):
        yield withhold_clips(arm.own_index(batch))


def _fit_adapter(arm: Arm, adapter: Adapter, split: Split) -> None:
    index, fine, seen = [], [], 0
    for batch in evaluation_loader(split, evaluation_batches(split, 1, buckets=False)):
        index.append(index_of(arm.own_index(batch))[0])
        fine.append(batch.clips[0])
        seen += len(index[-1])
        if seen >= _FIT_CLIPS:
            break
    adapter.fit(torch.cat(index), torch.cat(fine))

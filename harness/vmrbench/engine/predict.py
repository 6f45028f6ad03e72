"""From an arm and a split to stored predictions and a table with one row a query."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from vmrbench.engine.arm import Arm
from vmrbench.engine.device import autocast
from vmrbench.engine.loading import evaluation_batches, evaluation_loader
from vmrbench.postprocess import to_predictions
from vmrbench.protocols import Split
from vmrbench.trim.axis import clips_in_moments
from vmrbench.types import Batch, Prediction


@dataclass(frozen=True, kw_only=True)
class BatchPredictions:
    """Predictions of a batch and how its clips were chosen.

    keep: [B, L] boolean; reads: [B, L] times each clip's expensive features were read; passes: [B, W] rows of each of
    the W passes that the backbone made for a sample.
    """

    predictions: list[Prediction]
    keep: torch.Tensor
    reads: torch.Tensor
    passes: torch.Tensor


@torch.no_grad()
def predictions_of(arm: Arm, batch: Batch, precision: str) -> BatchPredictions:
    """Run one batch through trimming, backbone and post-processing."""
    with autocast(batch.clips.device, precision):
        result = arm(batch)
        seconds, scores = arm.moments(result)
    return BatchPredictions(
        predictions=to_predictions(seconds.float(), scores.float(), batch),
        keep=result.decision.keep,
        reads=result.reads,
        passes=result.rows.lengths.reshape(len(batch.sample_ids), -1),
    )


@dataclass(frozen=True, kw_only=True)
class SplitPredictions:
    """Predictions of a split in the order of its annotations.

    queries: one row a query with sample_id, video_id, clips, kept_clips, query_tokens, moment_kept (share of the true
    moment that lies in kept clips), passes (rows of every pass of the backbone); kept: for every query the positions of
    the clips that were kept or read, which is what it is charged for.
    """

    predictions: list[Prediction]
    queries: pd.DataFrame
    kept: list[np.ndarray]


def predict_split(
    arm: Arm, split: Split, *, batch_size: int, device: torch.device, precision: str, buckets: bool = True
) -> SplitPredictions:
    """Predict every query of `split`; the arm is put into evaluation mode.

    With `buckets` queries of like length share a batch; the result is in the order of the split all the same.

    Raises:
        AssertionError: a trimmer kept padding, or a clip was read more than once.
    """
    arm.eval().to(device)
    predictions: list[Prediction] = []
    rows: list[pd.DataFrame] = []
    kept: list[np.ndarray] = []
    batches = evaluation_batches(split, batch_size, buckets=buckets)
    for batch in evaluation_loader(split, batches):
        on_device = batch.to(device)
        done = predictions_of(arm, on_device, precision)
        assert not (done.keep & ~on_device.clip_mask).any(), "a trimmer kept padding"
        assert int(done.reads.amax()) <= 1, "a clip's expensive features were read twice"
        predictions.extend(done.predictions)
        rows.append(_rows(on_device, done))
        read = done.keep | (done.reads > 0)
        kept.extend(np.flatnonzero(row) for row in read.numpy(force=True))
    # order[i] says where among those that were predicted sample i is.
    order = np.argsort(np.concatenate(batches))
    return SplitPredictions(
        predictions=[predictions[place] for place in order],
        queries=pd.concat(rows, ignore_index=True).iloc[order].reset_index(drop=True),
        kept=[kept[place] for place in order],
    )


def _rows(batch: Batch, done: BatchPredictions) -> pd.DataFrame:
    keep = done.keep
    inside = clips_in_moments(batch) * (batch.clip_end - batch.clip_start)
    share = (inside * keep).sum(1) / inside.sum(1).clamp(min=1e-9)
    columns = {
        "clips": batch.lengths,
        "kept_clips": keep.sum(1),
        "query_tokens": batch.query_mask.sum(1),
        "moment_kept": share,
    }
    numbers = {name: value.numpy(force=True) for name, value in columns.items()}
    passes = pd.Series([row[row > 0] for row in done.passes.numpy(force=True)], dtype=object)
    return pd.DataFrame({"sample_id": batch.sample_ids, "video_id": batch.video_ids, **numbers, "passes": passes})

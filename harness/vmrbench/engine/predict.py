"""From an arm and a split to stored predictions and a table with one row a query."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch

from vmrbench.engine.arm import Arm
from vmrbench.engine.device import autocast
from vmrbench.engine.loading import evaluation_batches, evaluation_loader
from vmrbench.engine.union_planning import QueryPlan, plan_queries, planned_decision
from vmrbench.errors import ConfigError, DataError
from vmrbench.postprocess import to_predictions
from vmrbench.protocols import Split
from vmrbench.trim.axis import clips_in_moments
from vmrbench.trim.windows import finer_of
from vmrbench.types import Batch, Prediction, TrimDecision


@dataclass(frozen=True, kw_only=True)
class BatchPredictions:
    """Predictions of a batch and how its clips were chosen.

    keep: [B, L] boolean; reads: [B, L] times each clip's expensive features were read; scores: [B, L] the trimmer's
    score of every clip, None where it gives none; passes: [B, W] rows of each of the W passes that the backbone made
    for a sample; finer_reads: [B, F] times each finer clip was read, None where no windows were cut.
    """

    predictions: list[Prediction]
    keep: torch.Tensor
    reads: torch.Tensor
    scores: torch.Tensor | None
    passes: torch.Tensor
    finer_reads: torch.Tensor | None = None


@torch.no_grad()
def predictions_of(arm: Arm, batch: Batch, precision: str, decision: TrimDecision | None = None) -> BatchPredictions:
    """Run one batch through trimming, backbone and post-processing; a given decision takes the trimmer's place."""
    with autocast(batch.clips.device, precision):
        result = arm(batch) if decision is None else arm.finish(batch, arm.access(batch), decision)
        seconds, scores = arm.moments(result)
    return BatchPredictions(
        predictions=to_predictions(seconds.float(), scores.float(), batch),
        keep=result.decision.keep,
        reads=result.reads,
        scores=result.decision.scores,
        passes=result.rows.lengths.reshape(len(batch.sample_ids), -1),
        finer_reads=result.finer_reads,
    )


@dataclass(frozen=True, kw_only=True)
class SplitPredictions:
    """Predictions of a split in the order of its annotations.

    queries: one row a query with sample_id, video_id, clips, kept_clips, query_tokens, moment_kept (share of the true
    moment that lies in kept clips), passes (rows of every pass of the backbone); kept: for every query the positions of
    the clips that were kept or read, which is what it is charged for; scores: for every query [L] the trimmer's scores
    of its clips, None where it gives none. Where windows are cut, kept_clips counts every expensive row that was read,
    `kept` what the selector read itself, and finer_kept the positions of finer clips, of finer_clips.
    """

    predictions: list[Prediction]
    queries: pd.DataFrame
    kept: list[np.ndarray]
    scores: list[np.ndarray] | None


def predict_split(
    arm: Arm,
    split: Split,
    *,
    batch_size: int,
    device: torch.device,
    precision: str,
    buckets: bool = True,
    plan: str = "query",
) -> SplitPredictions:
    """Predict every query of `split`; the arm is put into evaluation mode.

    With `buckets` queries of like length share a batch; the result is in the order of the split all the same. With
    another `plan` than `query` the queries of a video share the clips that are planned for it.

    Raises:
        DataError: windows were cut and none of a video could be placed.
        AssertionError: a trimmer kept padding, a clip was read more than once, or windows took more than was kept.
        ConfigError: clips are to be planned, and the trimmer does not score them; or windows of factor 1 would read
            again what the trimmer has read.
    """
    arm.eval().to(device)
    batches = evaluation_batches(split, batch_size, buckets=buckets)
    plans = None if plan == "query" else plan_queries(arm, split, batches, plan, device=device, precision=precision)
    found = _Rows()
    for batch in evaluation_loader(split, batches):
        on_device = batch.to(device)
        done = predictions_of(arm, on_device, precision, None if plans is None else planned_decision(on_device, plans))
        _check(on_device, done)
        found.add(on_device, done, plans)
    # order[i] says where among those that were predicted sample i is.
    return found.ordered(np.argsort(np.concatenate(batches)))


class _Rows:
    """What was predicted, batch after batch."""

    def __init__(self) -> None:
        self.predictions: list[Prediction] = []
        self.queries: list[pd.DataFrame] = []
        self.kept: list[np.ndarray] = []
        self.scores: list[np.ndarray] = []

    def add(self, batch: Batch, done: BatchPredictions, plans: Mapping[str, QueryPlan] | None) -> None:
        self.predictions.extend(done.predictions)
        self.queries.append(_rows(batch, done))
        charged_clips = done.reads > 0 if done.finer_reads is not None else done.keep | (done.reads > 0)
        read = charged_clips.numpy(force=True)
        lengths = batch.lengths.tolist()
        for row, (name, clips) in enumerate(zip(batch.sample_ids, lengths, strict=True)):
            charged = read[row, :clips] if plans is None else read[row, :clips] | plans[name].read
            self.kept.append(np.flatnonzero(charged))
        if done.scores is not None:
            scores = done.scores.float().numpy(force=True)
            self.scores.extend(scores[row, :clips] for row, clips in enumerate(lengths))

    def ordered(self, order: np.ndarray) -> SplitPredictions:
        return SplitPredictions(
            predictions=[self.predictions[place] for place in order],
            queries=pd.concat(self.queries, ignore_index=True).iloc[order].reset_index(drop=True),
            kept=[self.kept[place] for place in order],
            scores=[self.scores[place] for place in order] if self.scores else None,
        )


def _check(batch: Batch, done: BatchPredictions) -> None:
    assert not (done.keep & ~batch.clip_mask).any(), "a trimmer kept padding"
    assert int(done.reads.amax()) <= 1, "a clip's expensive features were read twice"
    if done.finer_reads is None:
        return
    assert int(done.finer_reads.amax()) <= 1, "two windows read one clip"
    placed = done.finer_reads.sum(1)
    assert bool((placed + done.reads.sum(1) <= done.keep.sum(1)).all()), "windows took more clips than were kept"
    if not bool(placed.all()):
        row = int((placed == 0).int().argmax())
        raise DataError(
            f"sample {batch.sample_ids[row]!r}: {int(done.keep[row].sum())} clips kept, "
            f"{int(done.reads[row].sum())} of them read by the trimmer itself: "
            "none is left for a window; raise keep_ratio, or use apply: fill"
        )
    one_size = done.finer_reads.shape == done.reads.shape and torch.equal(finer_of(batch).mask, batch.clip_mask)
    if one_size and bool(((done.finer_reads > 0) & (done.reads > 0)).any()):
        raise ConfigError(
            "windows.finer: 1: windows are cut from clips that the trimmer has read while it selected, and no clip is "
            "read twice; set finer to 2 or more, or let the trimmer read none (spotvmr: steps: 1)"
        )


def _rows(batch: Batch, done: BatchPredictions) -> pd.DataFrame:
    seen, kept, cut = batch, done.keep, {}
    if done.finer_reads is not None:
        finer = finer_of(batch)
        seen = replace(batch, clip_mask=finer.mask, clip_start=finer.clip_start, clip_end=finer.clip_end)
        kept = done.finer_reads > 0
        cut = {"finer_clips": finer.mask.sum(1)}
    inside = clips_in_moments(seen) * (seen.clip_end - seen.clip_start)
    share = (inside * kept).sum(1) / inside.sum(1).clamp(min=1e-9)
    columns = {
        "clips": batch.lengths,
        "kept_clips": kept.sum(1) + (done.reads.sum(1) if cut else 0),
        "query_tokens": batch.query_mask.sum(1),
        "moment_kept": share,
        **cut,
    }
    numbers: dict[str, object] = {name: value.numpy(force=True) for name, value in columns.items()}
    if cut:
        places = [np.flatnonzero(row).astype(np.int32) for row in kept.numpy(force=True)]
        numbers["finer_kept"] = pd.Series(places, dtype=object)
    passes = pd.Series([row[row > 0] for row in done.passes.numpy(force=True)], dtype=object)
    return pd.DataFrame({"sample_id": batch.sample_ids, "video_id": batch.video_ids, **numbers, "passes": passes})

"""The metrics: from two moment tables to one value a query, in percent, higher is better."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from vmrbench.protocol.convention import Protocol
from vmrbench.score.moments import Floats, MomentTable, overlaps
from vmrbench.specs import MetricSpec


def protocol_metrics(protocol: Protocol) -> tuple[MetricSpec, ...]:
    """The metrics of a protocol: `R<n>@<IoU>`, `mIoU`, `mAP`, in that order."""
    recalls = [
        _spec(
            f"R{depth}@{threshold:g}",
            f"queries with a window of IoU >= {threshold:g} among the first {depth}",
            partial(recall, depth=depth, threshold=threshold, tolerance=protocol.tolerance),
        )
        for depth in protocol.recall_at
        for threshold in protocol.recall_thresholds
    ]
    precision = partial(average_precision, thresholds=protocol.ap_thresholds, tolerance=protocol.tolerance)
    first, last = protocol.ap_thresholds[0], protocol.ap_thresholds[-1]
    return (
        *recalls,
        _spec("mIoU", "mean over queries of the best IoU of the first window", mean_iou),
        _spec("mAP", f"mean over queries of average precision, IoU {first:g} to {last:g}", precision),
    )


def recall(
    predicted: MomentTable, truth: MomentTable, *, depth: int, threshold: float, tolerance: float = 0.0
) -> Floats:
    """[N] 100 where one of the first `depth` predictions has IoU >= threshold with a true moment, else 0."""
    best = overlaps(_first(predicted, depth), truth).max(axis=(1, 2), initial=0.0)
    return np.where(best >= threshold - tolerance, 100.0, 0.0)


def mean_iou(predicted: MomentTable, truth: MomentTable) -> Floats:
    """[N] best IoU of the first prediction over the true moments, times 100."""
    best: Floats = overlaps(_first(predicted, 1), truth).max(axis=(1, 2), initial=0.0)
    return 100.0 * best


def average_precision(
    predicted: MomentTable, truth: MomentTable, *, thresholds: Sequence[float], tolerance: float = 0.0
) -> Floats:
    """[N] interpolated average precision, averaged over IoU thresholds, times 100.

    Predictions are taken in rank order; each matches the free true moment it overlaps most (ties: the first listed)
    if that IoU reaches the threshold. Every matched rank adds the best precision at or after it, divided by the
    number of true moments.

    Source:
        Everingham et al., The PASCAL Visual Object Classes Challenge: a Retrospective, 2015, section 2.2.
    """
    hits = _matches(overlaps(predicted, truth), np.asarray(thresholds) - tolerance)
    ranks = np.arange(1, hits.shape[1] + 1)
    precision = hits.cumsum(axis=1) / ranks[None, :, None]
    interpolated = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    total: Floats = (interpolated * hits).sum(axis=1).mean(axis=1) / truth.present.sum(axis=1)
    return 100.0 * total


def _matches(overlap: Floats, thresholds: Floats) -> Floats:
    """[N, Q, T] 1 where a prediction finds a true moment that no better ranked one has taken, else 0.

    overlap: [N, Q, M].
    """
    queries, depth, width = overlap.shape
    free = np.ones((queries, len(thresholds), width), dtype=bool)
    hits = np.zeros((queries, depth, len(thresholds)))
    for rank in range(depth):
        # A taken moment counts below every real overlap, so that the best free one is found.
        open_overlap = np.where(free, overlap[:, rank, None, :], -1.0)
        choice = open_overlap.argmax(axis=2)
        best = np.take_along_axis(open_overlap, choice[..., None], axis=2)[..., 0]
        found = (best >= thresholds) & (best > 0)
        hits[:, rank] = found
        query, threshold = np.nonzero(found)
        free[query, threshold, choice[found]] = False
    return hits


def _first(predicted: MomentTable, depth: int) -> MomentTable:
    return MomentTable(spans=predicted.spans[:, :depth], present=predicted.present[:, :depth])


def _spec(name: str, summary: str, compute: Callable[..., Floats]) -> MetricSpec:
    return MetricSpec(name=name, summary=summary, unit="%", higher_is_better=True, compute=compute)

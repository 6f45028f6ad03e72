"""The metrics: from two moment tables to one value a query, in percent, higher is better."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import numpy.typing as npt

from vmrbench.protocol.convention import VMRBENCH_V1, Protocol
from vmrbench.score.moments import Floats, MomentTable, first_moments, overlaps, undefined_overlaps
from vmrbench.specs import MetricSpec


def protocol_metrics(protocol: Protocol) -> tuple[MetricSpec, ...]:
    """The metrics of a protocol: `R<n>@<IoU>`, `mIoU`, and `mAP` where it has one, in that order."""
    recalls = [
        _spec(
            f"R{depth}@{threshold:g}",
            f"queries with a window of IoU {protocol.operator} {threshold:g} among the first {depth}",
            partial(recall, depth=depth, threshold=threshold, protocol=protocol),
        )
        for depth in protocol.recall_at
        for threshold in protocol.recall_thresholds
    ]
    iou = _spec("mIoU", "mean over queries of the IoU of the first window", partial(mean_iou, protocol=protocol))
    if not protocol.ap_thresholds:
        return (*recalls, iou)
    first, last = protocol.ap_thresholds[0], protocol.ap_thresholds[-1]
    summary = f"mean over queries of average precision, IoU {first:g} to {last:g}"
    return (*recalls, iou, _spec("mAP", summary, partial(average_precision, protocol=protocol)))


def reached(overlap: Floats, threshold: float, protocol: Protocol) -> npt.NDArray[np.bool_]:
    """Where an IoU reaches a threshold, by the operator and tolerance of the protocol."""
    if protocol.operator == ">=":
        return overlap >= threshold - protocol.tolerance
    return overlap > threshold + protocol.tolerance


def best_overlaps(predicted: MomentTable, truth: MomentTable, protocol: Protocol = VMRBENCH_V1) -> Floats:
    """[N, Q] best IoU of every prediction over the true moments of its query."""
    best: Floats = overlaps(predicted, truth, protocol.union).max(axis=2, initial=0.0)
    return best


def recall(
    predicted: MomentTable, truth: MomentTable, *, depth: int, threshold: float, protocol: Protocol = VMRBENCH_V1
) -> Floats:
    """[N] 100 where one of the first `depth` predictions reaches the threshold with a true moment, else 0."""
    best = best_overlaps(first_moments(predicted, depth), truth, protocol).max(axis=1, initial=0.0)
    return np.where(reached(best, threshold, protocol), 100.0, 0.0)


def mean_iou(predicted: MomentTable, truth: MomentTable, *, protocol: Protocol = VMRBENCH_V1) -> Floats:
    """[N] best IoU of the first prediction over the true moments, times 100."""
    best: Floats = best_overlaps(first_moments(predicted, 1), truth, protocol).max(axis=1, initial=0.0)
    return 100.0 * best


def average_precision(predicted: MomentTable, truth: MomentTable, *, protocol: Protocol = VMRBENCH_V1) -> Floats:
    """[N] interpolated average precision, averaged over the IoU thresholds of the protocol, times 100."""
    total: Floats = precision_by_threshold(predicted, truth, protocol).mean(axis=1)
    return total


def precision_by_threshold(predicted: MomentTable, truth: MomentTable, protocol: Protocol = VMRBENCH_V1) -> Floats:
    """[N, T] interpolated average precision at every IoU threshold of the protocol, times 100.

    Predictions are taken by score, ties as listed; each matches the free true moment it overlaps most (ties: the first
    listed) if that IoU reaches the threshold. Every matched rank adds the best precision at or after it, divided by
    the number of true moments.

    Source:
        Everingham et al., The PASCAL Visual Object Classes Challenge: a Retrospective, 2015, section 2.2.
    """
    ranked = _by_score(first_moments(predicted, protocol.ap_windows))
    overlap = overlaps(ranked, truth)
    if protocol.no_union == "hit":
        overlap = np.where(undefined_overlaps(ranked, truth), np.inf, overlap)
    hits = _matches(overlap, truth.present, protocol)
    ranks = np.arange(1, hits.shape[1] + 1)
    precision = hits.cumsum(axis=1) / ranks[None, :, None]
    interpolated = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    total: Floats = (interpolated * hits).sum(axis=1) / truth.present.sum(axis=1)[:, None]
    return 100.0 * total


def _by_score(table: MomentTable) -> MomentTable:
    """Predictions best first, ties in their order; padding stays behind."""
    if table.scores is None:
        return table
    order = np.argsort(np.where(table.present, -table.scores, np.inf), axis=1, kind="stable")
    return replace(
        table,
        spans=np.take_along_axis(table.spans, order[..., None], axis=1),
        present=np.take_along_axis(table.present, order, axis=1),
        scores=np.take_along_axis(table.scores, order, axis=1),
    )


def _matches(overlap: Floats, real: npt.NDArray[np.bool_], protocol: Protocol) -> Floats:
    """[N, Q, T] 1 where a prediction finds a true moment that no better ranked one has taken, else 0.

    overlap: [N, Q, M]; real: [N, M] true moments that are no padding.
    """
    queries, depth, _ = overlap.shape
    thresholds = np.asarray(protocol.ap_thresholds)
    free = np.repeat(real[:, None, :], len(thresholds), axis=1)
    hits = np.zeros((queries, depth, len(thresholds)))
    for rank in range(depth):
        # A taken moment counts below every real overlap, so that the best free one is found.
        open_overlap = np.where(free, overlap[:, rank, None, :], -1.0)
        choice = open_overlap.argmax(axis=2)
        best = np.take_along_axis(open_overlap, choice[..., None], axis=2)[..., 0]
        found = _reached_each(best, thresholds, protocol) & (best > 0)
        hits[:, rank] = found
        query, threshold = np.nonzero(found)
        free[query, threshold, choice[found]] = False
    return hits


def _reached_each(best: Floats, thresholds: Floats, protocol: Protocol) -> npt.NDArray[np.bool_]:
    return np.stack([reached(best[:, place], level, protocol) for place, level in enumerate(thresholds)], axis=1)


def _spec(name: str, summary: str, compute: Callable[..., Floats]) -> MetricSpec:
    return MetricSpec(name=name, summary=summary, unit="%", higher_is_better=True, compute=compute)

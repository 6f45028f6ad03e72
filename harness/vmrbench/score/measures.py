"""The metrics: from two moment tables to one value a query, in percent, higher is better."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import numpy.typing as npt

from vmrbench.protocol.convention import VMRBENCH_V1, Protocol
from vmrbench.protocol.iou_metrics import iou_metric
from vmrbench.score.moments import Floats, MomentTable, first_moments, overlaps, undefined_overlaps
from vmrbench.specs import MetricSpec


def protocol_metrics(protocol: Protocol) -> tuple[MetricSpec, ...]:
    """The metrics of a protocol: `R<n>@<IoU>`, `mIoU`, `mAP` where it has one, then further ones, in that order."""
    return tuple(_metric(name, protocol) for name in protocol.metric_names)


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


def discounted_recall(
    predicted: MomentTable, truth: MomentTable, *, depth: int, threshold: float, protocol: Protocol
) -> Floats:
    """[N] recall, times 100, weighted by how near start and end are: the best over the first `depth` predictions.

    A prediction that reaches the threshold counts (1 - |start error| / duration) x (1 - |end error| / duration).

    Source:
        Yuan et al., A Closer Look at Temporal Sentence Grounding in Videos, 2021, section 4 (dR@n,IoU@m).
    """
    first = first_moments(predicted, depth)
    hit = reached(overlaps(first, truth, protocol.union), threshold, protocol)
    hit &= first.present[:, :, None] & truth.present[:, None, :]
    error = np.abs(first.spans[:, :, None] - truth.spans[:, None]) / predicted.durations[:, None, None, None]
    near = (1.0 - error).clip(min=0.0).prod(axis=-1)
    weighted: Floats = np.where(hit, near, 0.0).max(axis=(1, 2), initial=0.0)
    return 100.0 * weighted


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


def _metric(name: str, protocol: Protocol) -> MetricSpec:
    if name == "mIoU":
        return _spec(name, "mean over queries of the IoU of the first window", partial(mean_iou, protocol=protocol))
    if name == "mAP":
        first, last = protocol.ap_thresholds[0], protocol.ap_thresholds[-1]
        summary = f"mean over queries of average precision, IoU {first:g} to {last:g}"
        return _spec(name, summary, partial(average_precision, protocol=protocol))
    asked = iou_metric(name)
    if asked.depth is None:
        one = replace(protocol, ap_thresholds=(asked.iou,))
        summary = f"mean over queries of average precision at IoU {asked.iou:g}"
        return _spec(name, summary, partial(average_precision, protocol=one))
    measure, weighted = (
        (recall, "") if asked.kind == "R" else (discounted_recall, ", weighted by how near its ends are")
    )
    summary = f"queries with a window of IoU {protocol.operator} {asked.iou:g} among the first {asked.depth}{weighted}"
    return _spec(name, summary, partial(measure, depth=asked.depth, threshold=asked.iou, protocol=protocol))


def _spec(name: str, summary: str, compute: Callable[..., Floats]) -> MetricSpec:
    return MetricSpec(name=name, summary=summary, unit="%", higher_is_better=True, compute=compute)

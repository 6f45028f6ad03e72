"""The same measures at every IoU, by length of the true moment, and discounted by how far the ends are off."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from vmrbench.protocol.convention import LengthRange, Protocol
from vmrbench.score.measures import best_overlaps, discounted_recall, precision_by_threshold, reached
from vmrbench.score.moments import Floats, MomentTable, first_moments

ALL = "all"


@dataclass(frozen=True, kw_only=True)
class Detail:
    """One number: the mean of a measure over the n queries of a group, in percent.

    group: `all`, or a range of moment lengths; measure: `R<n>`, `dR<n>`, `mIoU` or `mAP`; iou: its threshold, None
    for a measure without one and for mAP averaged over all. value is None where the group has no query.
    """

    group: str
    measure: str
    iou: float | None
    value: float | None
    n: int


def details(predicted: MomentTable, truth: MomentTable, protocol: Protocol) -> tuple[Detail, ...]:
    """Every measure at every IoU of the protocol's tables, over all queries and by length of the true moment.

    A query is in a group of lengths where it has a true moment of that length, and only those count there: a query
    with moments of several lengths is in several groups.
    """
    found = list(_group(ALL, predicted, truth, protocol))
    for length in protocol.lengths:
        inside = within(truth, length)
        rows = np.asarray(inside.present.any(axis=1))
        found += _group(length.name, _rows(predicted, rows), _rows(inside, rows), protocol)
    return tuple(found)


def within(truth: MomentTable, length: LengthRange) -> MomentTable:
    """The truth without the moments whose length is outside the range."""
    seconds = truth.spans[..., 1] - truth.spans[..., 0]
    return replace(truth, present=truth.present & (seconds > length.above) & (seconds <= length.up_to))


def _group(name: str, predicted: MomentTable, truth: MomentTable, protocol: Protocol) -> Iterator[Detail]:
    n = len(truth.spans)

    def detail(measure: str, iou: float | None, values: Floats) -> Detail:
        return Detail(group=name, measure=measure, iou=iou, value=float(values.mean()) if n else None, n=n)

    deepest = max(protocol.more_recall_at)
    best = best_overlaps(first_moments(predicted, deepest), truth, protocol)
    for depth in protocol.more_recall_at:
        reachable = best[:, :depth].max(axis=1, initial=0.0)
        for threshold in protocol.more_thresholds:
            yield detail(f"R{depth}", threshold, np.where(reached(reachable, threshold, protocol), 100.0, 0.0))
    yield detail("mIoU", None, 100.0 * best[:, :1].max(axis=1, initial=0.0))
    if protocol.ap_thresholds:
        precision = precision_by_threshold(predicted, truth, protocol)
        for place, threshold in enumerate(protocol.ap_thresholds):
            yield detail("mAP", threshold, precision[:, place])
        yield detail("mAP", None, precision.mean(axis=1))
    if name == ALL:
        for depth in protocol.recall_at:
            for threshold in protocol.recall_thresholds:
                values = discounted_recall(predicted, truth, depth=depth, threshold=threshold, protocol=protocol)
                yield detail(f"dR{depth}", threshold, values)


def _rows(table: MomentTable, rows: npt.NDArray[np.bool_]) -> MomentTable:
    return MomentTable(
        spans=table.spans[rows],
        present=table.present[rows],
        durations=table.durations[rows],
        scores=None if table.scores is None else table.scores[rows],
    )

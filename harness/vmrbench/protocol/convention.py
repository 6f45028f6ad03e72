"""What a scoring convention fixes, and ours."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from vmrbench.errors import ConfigError
from vmrbench.protocol.iou_metrics import IouMetric, iou_metric

Operator = Literal[">=", ">"]
Union = Literal["true", "hull"]

GRID = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)


@dataclass(frozen=True, kw_only=True)
class LengthRange:
    """True moments of more than `above` and at most `up_to` seconds."""

    name: str
    above: float
    up_to: float


# As QVHighlights' evaluator groups them; its longest video has 150 s, others have longer moments.
LENGTHS = (
    LengthRange(name="short", above=0.0, up_to=10.0),
    LengthRange(name="middle", above=10.0, up_to=30.0),
    LengthRange(name="long", above=30.0, up_to=math.inf),
)


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """A scoring convention: two results may be compared only where it is the same.

    recall_at, recall_thresholds: n and IoU of the `R<n>@<IoU>` metrics; ap_thresholds: IoU over which average
    precision is averaged, empty where there is none; tolerance: an IoU this near to a threshold counts as equal to it;
    rules: the convention in words, one sentence a rule, printed in every report; source: whose evaluator it is, None
    for our own.

    operator: an IoU counts where it is `>=` or `>` the threshold. truth: `best`, the best IoU over the true moments of
    a query, or `first`, the first true moment alone. union: what the overlap is divided by in recall and mIoU, the
    true union or the hull of both moments. order: predictions are ranked by `score` or taken as `listed`. clamp: to
    the video. snap_seconds: starts and ends are rounded to multiples of it. nms: of ranked predictions, those that
    overlap a better one by more than this IoU are dropped, with nms_union as the divisor. ap_windows: as many listed
    windows are read by average precision, all where None. no_union: what a window whose IoU is 0/0 counts in average
    precision. faults: windows that are reversed, empty or beyond the video and lists that are not sorted are
    `refused`, or scored as they stand and `listed`. missing: a query without a prediction is `refused`, or `dropped`
    from the means and listed. decimals: of the numbers that the evaluator prints.

    further: metrics that a reader asked for beside these, of the main table too. more_recall_at,
    more_thresholds, lengths: of the detailed tables; highlights: saliency scores are scored too.
    resamples, seed: of the bootstrap; confidence: of its interval, 0..1.
    """

    name: str
    recall_at: tuple[int, ...]
    recall_thresholds: tuple[float, ...]
    ap_thresholds: tuple[float, ...]
    tolerance: float
    rules: tuple[str, ...]
    source: str | None = None
    operator: Operator = ">="
    truth: Literal["best", "first"] = "best"
    union: Union = "true"
    order: Literal["score", "listed"] = "score"
    clamp: bool = True
    snap_seconds: float | None = None
    nms: float | None = None
    nms_union: Union = "true"
    ap_windows: int | None = None
    no_union: Literal["miss", "hit"] = "miss"
    faults: Literal["refused", "listed"] = "refused"
    missing: Literal["refused", "dropped"] = "refused"
    decimals: int = 2
    further: tuple[IouMetric, ...] = ()
    more_recall_at: tuple[int, ...] = (1, 5, 10)
    more_thresholds: tuple[float, ...] = (0.1, 0.3, 0.5, 0.7)
    lengths: tuple[LengthRange, ...] = ()
    highlights: bool = True
    resamples: int = 10_000
    seed: int = 0
    confidence: float = 0.95

    @property
    def metric_names(self) -> tuple[str, ...]:
        """Names of its metrics, in the order of tables."""
        recalls = [f"R{depth}@{threshold:g}" for depth in self.recall_at for threshold in self.recall_thresholds]
        means = ("mIoU", "mAP") if self.ap_thresholds else ("mIoU",)
        return (*recalls, *means, *(metric.name for metric in self.further))

    @property
    def deepest(self) -> int:
        """The most windows of a query that any recall reads."""
        return max(*self.recall_at, *self.more_recall_at, *(metric.depth or 1 for metric in self.further))

    def with_metrics(self, names: Sequence[str]) -> Protocol:
        """The same convention with further metrics after its own, such as `R3@0.45`; those it has already add nothing.

        Raises:
            ConfigError: a name is not understood, or asks for average precision where the protocol has none.
        """
        metrics = [iou_metric(name) for name in names]
        if not self.ap_thresholds and any(metric.kind == "mAP" for metric in metrics):
            raise ConfigError(f"metric mAP: {self.name} has no average precision; expected R<n>@<IoU> or dR<n>@<IoU>")
        added = {metric.name: metric for metric in metrics if metric.name not in self.metric_names}
        return replace(self, further=(*self.further, *added.values()))


VMRBENCH_V1 = Protocol(
    name="vmrbench-v1",
    recall_at=(1, 5),
    recall_thresholds=(0.3, 0.5, 0.7),
    ap_thresholds=GRID,
    # Far above the rounding error of seconds in float64 (1e-13), far below any real difference between two moments.
    tolerance=1e-9,
    rules=(
        "IoU is overlap divided by true union, computed in float64 on seconds; it reaches a threshold when it is "
        "greater or equal, with 1e-9 allowed for decimal times that have no exact binary form.",
        "The truth of a query is the set of its windows; R1, R5 and mIoU take the best IoU over them.",
        "Predicted windows are ranked by score, ties by their order in the file; there is no non-maximum suppression "
        "and no snapping to clips; windows are clamped to the video.",
        "`R<n>@<t>` is the share of queries whose first n windows hold one of IoU >= t; mIoU is the mean IoU of the "
        "first window.",
        "mAP is the mean over queries of average precision with interpolated precision (every recall step counts the "
        "best precision at or after it), each window greedily matched, in order of score, to the free true window it "
        "overlaps most, averaged over IoU 0.5 to 0.95 in steps of 0.05.",
        "A query without predictions counts 0 everywhere.",
        "NaN, reversed and zero-length windows and unknown, duplicate or missing query ids are errors; so are windows "
        "beyond the video and lists that are not sorted by score in a file given to `vmrbench score`.",
        "Intervals are 95 % percentile intervals of a bootstrap over source videos, 10,000 resamples, seeded; "
        "differences are paired by query; over seeds, every query is first averaged over the seeds.",
    ),
    more_recall_at=(1, 5, 10, 50, 100),
    more_thresholds=(0.1, 0.3, *GRID),
    lengths=LENGTHS,
)

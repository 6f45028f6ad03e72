"""What a scoring convention fixes, and the conventions we know by name."""

from __future__ import annotations

from dataclasses import dataclass

from vmrbench.errors import ConfigError, did_you_mean


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """A scoring convention: two results may be compared only where it is the same.

    recall_at, recall_thresholds: n and IoU of the `R<n>@<IoU>` metrics; ap_thresholds: IoU over which average
    precision is averaged; tolerance: an IoU this little under a threshold still reaches it; rules: the convention in
    words, one sentence a rule, printed in every report; resamples, seed: of the bootstrap; confidence: of its
    interval, 0..1.
    """

    name: str
    recall_at: tuple[int, ...]
    recall_thresholds: tuple[float, ...]
    ap_thresholds: tuple[float, ...]
    tolerance: float
    rules: tuple[str, ...]
    resamples: int = 10_000
    seed: int = 0
    confidence: float = 0.95

    @property
    def metric_names(self) -> tuple[str, ...]:
        """Names of its metrics, in the order of tables."""
        recalls = [f"R{depth}@{threshold:g}" for depth in self.recall_at for threshold in self.recall_thresholds]
        return (*recalls, "mIoU", "mAP")


VMRBENCH_V1 = Protocol(
    name="vmrbench-v1",
    recall_at=(1, 5),
    recall_thresholds=(0.3, 0.5, 0.7),
    ap_thresholds=(0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95),
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
        "NaN, reversed and zero-length windows and unknown, duplicate or missing query ids are errors.",
        "Intervals are 95 % percentile intervals of a bootstrap over source videos, 10,000 resamples, seeded; "
        "differences are paired by query; over seeds, every query is first averaged over the seeds.",
    ),
)

PROTOCOLS = {protocol.name: protocol for protocol in (VMRBENCH_V1,)}


def get_protocol(name: str) -> Protocol:
    """The protocol of that name.

    Raises:
        ConfigError: no protocol has that name.
    """
    if name not in PROTOCOLS:
        raise ConfigError(f"no protocol is named {name!r}{did_you_mean(name, PROTOCOLS)}")
    return PROTOCOLS[name]

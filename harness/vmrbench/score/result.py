"""Score a predictions file and show the result as JSON or Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from tabulate import tabulate

from vmrbench.errors import DataError
from vmrbench.protocol.convention import Protocol, get_protocol
from vmrbench.score.intervals import Interval, bootstrap
from vmrbench.score.measures import protocol_metrics
from vmrbench.score.per_query import SOURCE, VIDEO, score_predictions
from vmrbench.score.submission import read_predictions
from vmrbench.specs import MetricSpec
from vmrbench.types import Annotation


@dataclass(frozen=True, kw_only=True)
class ScoreResult:
    """Scores of one predictions file.

    per_query: as `score_predictions` gives it; scores: mean and interval by metric; metrics: what was computed.
    """

    predictions: str
    protocol: Protocol
    metrics: tuple[MetricSpec, ...]
    per_query: pd.DataFrame
    scores: Mapping[str, Interval]

    def to_json(self) -> dict[str, Any]:
        """Plain values: file, protocol, numbers of queries and videos, and each metric with unit and interval."""
        return {
            "predictions": self.predictions,
            "protocol": self.protocol.name,
            "n_queries": len(self.per_query),
            "n_videos": int(self.per_query[VIDEO].nunique()),
            "n_source_videos": int(self.per_query[SOURCE].nunique()),
            "scores": {
                metric.name: {
                    **asdict(self.scores[metric.name]),
                    "unit": metric.unit,
                    "higher_is_better": metric.higher_is_better,
                }
                for metric in self.metrics
            },
        }

    def to_markdown(self) -> str:
        """A table of metrics with intervals, and the lines needed to read it."""
        rows = [
            (
                f"{metric.name} {'↑' if metric.higher_is_better else '↓'}",
                metric.unit,
                f"{self.scores[metric.name].value:.2f}",
                _interval(self.scores[metric.name]),
            )
            for metric in self.metrics
        ]
        percent = f"{100 * self.protocol.confidence:g} %"
        table = tabulate(
            rows,
            headers=["metric", "unit", "value", f"{percent} interval"],
            tablefmt="github",
            disable_numparse=True,
            colalign=("left", "left", "right", "right"),
        )
        counts = (
            f"{len(self.per_query):,} queries, {self.per_query[VIDEO].nunique():,} videos, "
            f"{self.per_query[SOURCE].nunique():,} source videos"
        )
        return (
            f"`{self.predictions}`, protocol `{self.protocol.name}`, {counts}.\n\n{table}\n\n"
            f"Intervals: bootstrap over source videos, {self.protocol.resamples:,} resamples, seed "
            f"{self.protocol.seed}.\n"
        )


def score_file(
    predictions_path: Path,
    annotations: Sequence[Annotation],
    protocol_name: str = "vmrbench-v1",
    metrics: Sequence[MetricSpec] | None = None,
) -> ScoreResult:
    """Score a predictions file against annotations.

    Args:
        predictions_path: JSON lines in the schema of QVHighlights submissions.
        annotations: the truth; every query needs a line in the file.
        protocol_name: the convention.
        metrics: what to compute; the protocol's own by default.

    Raises:
        ConfigError: the protocol is unknown.
        DataError: the file or a query is not usable; the message starts with the file.
    """
    protocol = get_protocol(protocol_name)
    chosen = protocol_metrics(protocol) if metrics is None else tuple(metrics)
    predictions = read_predictions(predictions_path)
    try:
        per_query = score_predictions(predictions, annotations, protocol, chosen)
    except DataError as error:
        raise DataError(f"{predictions_path}: {error}") from error
    return ScoreResult(
        predictions=str(predictions_path),
        protocol=protocol,
        metrics=chosen,
        per_query=per_query,
        scores=bootstrap(per_query, [metric.name for metric in chosen], protocol),
    )


def _interval(score: Interval) -> str:
    if score.low is None or score.high is None:
        return f"none: {score.reason}"
    return f"[{score.low:.2f}, {score.high:.2f}]"

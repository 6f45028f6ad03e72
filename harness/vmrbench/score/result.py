"""Score a predictions file: every number with its intervals, and what is odd about the file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from vmrbench.errors import DataError
from vmrbench.protocol.convention import Protocol
from vmrbench.protocol.published import get_protocol
from vmrbench.score.details import Detail, details
from vmrbench.score.faults import Fault
from vmrbench.score.highlights import highlight_scores, no_highlights
from vmrbench.score.intervals import Interval, bootstrap
from vmrbench.score.measures import protocol_metrics
from vmrbench.score.moments import predicted_moments, true_moments
from vmrbench.score.per_query import SOURCE, VIDEO, score_predictions, scored_annotations
from vmrbench.score.submission import Submission, read_submission
from vmrbench.specs import MetricSpec
from vmrbench.types import Annotation


@dataclass(frozen=True, kw_only=True)
class ScoreResult:
    """Scores of one predictions file.

    per_query: as `score_predictions` gives it, with the highlight scores; scores: mean and interval over source videos
    by metric; by_query: the same with queries resampled; metrics: what was computed of moments; highlights: names of
    highlight metrics, none for the reason `no_highlights`; details: at every IoU and by length; faults: what the
    protocol scored as it stood.
    """

    predictions: str
    protocol: Protocol
    metrics: tuple[MetricSpec, ...]
    per_query: pd.DataFrame
    scores: Mapping[str, Interval]
    by_query: Mapping[str, Interval]
    details: tuple[Detail, ...]
    faults: tuple[Fault, ...]
    highlights: tuple[str, ...]
    no_highlights: str | None

    @property
    def directions(self) -> dict[str, tuple[str, bool]]:
        """Unit and whether higher is better, by metric, in the order of tables."""
        moments = {metric.name: (metric.unit, metric.higher_is_better) for metric in self.metrics}
        return moments | dict.fromkeys(self.highlights, ("%", True))

    def to_json(self) -> dict[str, Any]:
        """Plain values: file, protocol, numbers of queries and videos, each metric with unit and intervals, faults."""
        return {
            "predictions": self.predictions,
            "protocol": self.protocol.name,
            "rules": list(self.protocol.rules),
            "n_queries": len(self.per_query),
            "n_videos": int(self.per_query[VIDEO].nunique()),
            "n_source_videos": int(self.per_query[SOURCE].nunique()),
            "scores": {
                name: {**asdict(self.scores[name]), "unit": unit, "higher_is_better": higher}
                for name, (unit, higher) in self.directions.items()
            },
            "by_query": {name: asdict(interval) for name, interval in self.by_query.items()},
            "details": [asdict(detail) for detail in self.details],
            "no_highlights": self.no_highlights,
            "faults": [asdict(fault) for fault in self.faults],
        }


def score_file(
    predictions_path: Path,
    annotations: Sequence[Annotation],
    protocol_name: str = "vmrbench-v1",
    metrics: Sequence[MetricSpec] | None = None,
    *,
    intervals: bool = True,
) -> ScoreResult:
    """Score a predictions file against annotations.

    Args:
        predictions_path: a file of any schema that `read_entries` knows.
        annotations: the truth.
        protocol_name: the convention.
        metrics: what to compute of moments; the protocol's own by default.
        intervals: whether to resample; without, every interval is None.

    Raises:
        ConfigError: the protocol is unknown.
        DataError: the file or a query is not usable; the message starts with the file.
    """
    protocol = get_protocol(protocol_name)
    submission = read_submission(predictions_path, annotations, protocol)
    try:
        return score_submission(
            submission, annotations, protocol, metrics, name=str(predictions_path), intervals=intervals
        )
    except DataError as error:
        raise DataError(f"{predictions_path}: {error}") from error


def score_submission(
    submission: Submission,
    annotations: Sequence[Annotation],
    protocol: Protocol,
    metrics: Sequence[MetricSpec] | None = None,
    *,
    name: str,
    intervals: bool = True,
) -> ScoreResult:
    """Score predictions that were read for these annotations; arguments and errors as `score_file`."""
    predictions = submission.predictions
    chosen = protocol_metrics(protocol) if metrics is None else tuple(metrics)
    per_query = score_predictions(predictions, annotations, protocol, chosen)
    scored = scored_annotations(predictions, annotations, protocol)
    why_not = no_highlights(predictions, scored) if protocol.highlights else f"{protocol.name} scores moments only"
    highlights = {} if why_not else highlight_scores(predictions, scored)
    per_query = per_query.assign(**highlights)
    names = [*(metric.name for metric in chosen), *highlights]
    resampled = protocol if intervals else replace(protocol, resamples=0)
    return ScoreResult(
        predictions=name,
        protocol=protocol,
        metrics=chosen,
        per_query=per_query,
        scores=bootstrap(per_query, names, resampled),
        by_query=bootstrap(per_query, names, resampled, by_query=True),
        details=details(predicted_moments(predictions, scored, protocol), true_moments(scored, protocol), protocol),
        faults=submission.faults,
        highlights=tuple(highlights),
        no_highlights=why_not,
    )

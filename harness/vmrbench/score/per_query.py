"""Score predictions: one row a query, one column a metric."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from vmrbench.errors import DataError
from vmrbench.protocol.convention import VMRBENCH_V1, Protocol
from vmrbench.score.measures import protocol_metrics
from vmrbench.score.moments import predicted_moments, source_video, true_moments
from vmrbench.specs import MetricSpec
from vmrbench.types import Annotation, Prediction

SAMPLE, VIDEO, SOURCE = "sample_id", "video_id", "source_id"


def score_predictions(
    predictions: Sequence[Prediction],
    annotations: Sequence[Annotation],
    protocol: Protocol = VMRBENCH_V1,
    metrics: Sequence[MetricSpec] | None = None,
) -> pd.DataFrame:
    """Score every query.

    Args:
        predictions: one for every annotation, in any order; one without moments counts 0 everywhere. Annotations
            without one are left out where the protocol says so.
        annotations: the truth.
        protocol: the convention.
        metrics: what to compute; the protocol's own by default.

    Returns:
        One row a scored query in the order of the annotations: `sample_id`, `video_id`, `source_id` (the video that
        `video_id` was cut from), then the metrics in their unit, percent for the protocol's own.

    Raises:
        DataError: an id or a window is not usable (see `predicted_moments`), or a metric gives a wrong number of
            values or a NaN.
    """
    if not annotations:
        raise DataError("annotations: found none; expected at least one query to score")
    annotations = scored_annotations(predictions, annotations, protocol)
    truth = true_moments(annotations, protocol)
    predicted = predicted_moments(predictions, annotations, protocol)
    columns = _identity(annotations)
    for metric in protocol_metrics(protocol) if metrics is None else metrics:
        values = np.asarray(metric.compute(predicted, truth), dtype=np.float64)
        if values.shape != (len(annotations),) or np.isnan(values).any():
            raise DataError(
                f"metric {metric.name!r}: gave values of shape {values.shape} with {int(np.isnan(values).sum())} NaN; "
                f"expected {len(annotations)} numbers"
            )
        columns[metric.name] = values
    return pd.DataFrame(columns)


def probed(metric: str, probe: str) -> str:
    """The column of a metric under a probe."""
    return f"{metric} under {probe}"


def scored_annotations(
    predictions: Sequence[Prediction], annotations: Sequence[Annotation], protocol: Protocol
) -> Sequence[Annotation]:
    """The annotations that count: all, or those with a prediction where the protocol drops the others.

    Raises:
        DataError: none is left.
    """
    if protocol.missing == "refused":
        return annotations
    answered = {prediction.sample_id for prediction in predictions}
    kept = [annotation for annotation in annotations if annotation.sample_id in answered]
    if not kept:
        raise DataError(f"none of the {len(annotations)} annotated queries has a prediction")
    return kept


def _identity(annotations: Sequence[Annotation]) -> dict[str, object]:
    return {
        SAMPLE: [annotation.sample_id for annotation in annotations],
        VIDEO: [annotation.video_id for annotation in annotations],
        SOURCE: [source_video(annotation) for annotation in annotations],
    }

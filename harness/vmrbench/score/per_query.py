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
        predictions: one for every annotation, in any order; one without moments counts 0 everywhere.
        annotations: the truth.
        protocol: the convention.
        metrics: what to compute; the protocol's own by default.

    Returns:
        One row a query in the order of the annotations: `sample_id`, `video_id`, `source_id` (the video that
        `video_id` was cut from), then the metrics in their unit, percent for the protocol's own.

    Raises:
        DataError: an id or a window is not usable (see `predicted_moments`), or a metric gives a wrong number of
            values or a NaN.
    """
    if not annotations:
        raise DataError("annotations: found none; expected at least one query to score")
    truth, predicted = true_moments(annotations), predicted_moments(predictions, annotations)
    columns: dict[str, object] = {
        SAMPLE: [annotation.sample_id for annotation in annotations],
        VIDEO: [annotation.video_id for annotation in annotations],
        SOURCE: [source_video(annotation) for annotation in annotations],
    }
    for metric in protocol_metrics(protocol) if metrics is None else metrics:
        values = np.asarray(metric.compute(predicted, truth), dtype=np.float64)
        if values.shape != (len(annotations),) or np.isnan(values).any():
            raise DataError(
                f"metric {metric.name!r}: gave values of shape {values.shape} with {int(np.isnan(values).sum())} NaN; "
                f"expected {len(annotations)} numbers"
            )
        columns[metric.name] = values
    return pd.DataFrame(columns)

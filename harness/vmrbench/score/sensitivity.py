"""The same predictions under other conventions: how much of a score is the rule and not the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from vmrbench.protocol.convention import Protocol
from vmrbench.score.measures import average_precision, mean_iou, recall
from vmrbench.score.moments import Floats, predicted_moments, true_moments
from vmrbench.score.per_query import scored_annotations
from vmrbench.types import Annotation, Prediction

NMS = 0.7


@dataclass(frozen=True, kw_only=True)
class Variant:
    """A measure under a changed rule, in percent; None where the protocol has no such measure, or no query counts."""

    name: str
    value: float | None


def sensitivity(
    predictions: Sequence[Prediction], annotations: Sequence[Annotation], protocol: Protocol
) -> tuple[Variant, ...]:
    """Measures of one file under a protocol with one rule changed at a time.

    Raises:
        DataError: a prediction or annotation cannot be scored under the protocol.
    """
    annotations = scored_annotations(predictions, annotations, protocol)
    several = np.array([len(annotation.moments) > 1 for annotation in annotations])

    def values(measure: str, **changes: Any) -> Floats:
        changed = replace(protocol, **changes)
        predicted, truth = predicted_moments(predictions, annotations, changed), true_moments(annotations, changed)
        if measure == "mIoU":
            return mean_iou(predicted, truth, protocol=changed)
        if measure == "mAP":
            return average_precision(predicted, truth, protocol=changed)
        depth, threshold = measure[1:].split("@")
        return recall(predicted, truth, depth=int(depth), threshold=float(threshold), protocol=changed)

    middle = values("R1@0.5")
    found = {
        "R1@0.5 >=": values("R1@0.5", operator=">="),
        "R1@0.5 >": values("R1@0.5", operator=">"),
        "R1@0.5 first truth": values("R1@0.5", truth="first"),
        "R1@0.5 best truth": values("R1@0.5", truth="best"),
        "R1@0.7 >=": values("R1@0.7", operator=">="),
        "R1@0.7 >": values("R1@0.7", operator=">"),
        "mIoU": values("mIoU"),
        **_precisions(values, protocol),
        "R1@0.5 one truth": middle[~several],
        "R1@0.5 several truths": middle[several],
        "R1@0.5 rounded to 1 s": values("R1@0.5", snap_seconds=1.0),
        "R1@0.5 rounded to 2 s": values("R1@0.5", snap_seconds=2.0),
        f"R5@0.5 after NMS {NMS:g}": values("R5@0.5", nms=NMS, order="score"),
        "R5@0.5": values("R5@0.5"),
    }
    return tuple(Variant(name=name, value=float(v.mean()) if len(v) else None) for name, v in found.items())


def _precisions(values: Any, protocol: Protocol) -> dict[str, Floats]:
    """Average precision with fewer windows, and after suppression; nothing where the protocol has none."""
    names = ("mAP", "mAP of 5 windows", "mAP of the first window", f"mAP after NMS {NMS:g}")
    if not protocol.ap_thresholds:
        return dict.fromkeys(names, np.zeros(0))
    changes: tuple[dict[str, Any], ...] = ({}, {"ap_windows": 5}, {"ap_windows": 1}, {"nms": NMS, "order": "score"})
    return {name: values("mAP", **change) for name, change in zip(names, changes, strict=True)}

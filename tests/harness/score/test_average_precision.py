"""Average precision against a slow, obvious second implementation."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from vmrbench.protocol.convention import VMRBENCH_V1
from vmrbench.score.per_query import score_predictions
from vmrbench.types import Annotation, Prediction

window = st.tuples(st.integers(0, 20), st.integers(1, 12)).map(lambda pair: (float(pair[0]), float(sum(pair))))


def iou(a: tuple[float, float], b: tuple[float, float]) -> float:
    overlap = max(0.0, min(a[1], b[1]) - max(a[0], b[0]))
    return overlap / (a[1] - a[0] + b[1] - b[0] - overlap)


def slow_average_precision(ranked: list[tuple[float, float]], truth: list[tuple[float, float]], level: float) -> float:
    free, hits = list(range(len(truth))), []
    for answer in ranked:
        best = max(free, key=lambda place: iou(answer, truth[place]), default=None)
        hit = best is not None and iou(answer, truth[best]) >= level
        if hit and best is not None:
            free.remove(best)
        hits.append(hit)
    precision = [sum(hits[: n + 1]) / (n + 1) for n in range(len(hits))]
    return sum(max(precision[n:]) for n, hit in enumerate(hits) if hit) / len(truth)


@settings(deadline=None, max_examples=150)
@given(st.lists(window, max_size=8), st.lists(window, min_size=1, max_size=4))
def test_average_precision_agrees_with_a_loop(
    ranked: list[tuple[float, float]], truth: list[tuple[float, float]]
) -> None:
    annotation = Annotation(sample_id="q", video_id="v", sentence="", duration=40.0, moments=tuple(truth))
    moments = tuple((start, end, -float(place)) for place, (start, end) in enumerate(ranked))

    found = score_predictions([Prediction(sample_id="q", video_id="v", moments=moments)], [annotation], VMRBENCH_V1)

    levels = [0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95]
    expected = 100 * np.mean([slow_average_precision(ranked, truth, level - 1e-9) for level in levels])
    assert abs(found["mAP"].iloc[0] - expected) < 1e-9

"""The evaluators of 2D-TAN, Ego4D NLQ and VSLNet, on recorded outputs of theirs; skipped where the data is absent."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vmrbench.protocol.convention import Protocol
from vmrbench.protocol.published import (
    EGO4D_NLQ_V1,
    TWO_D_TAN_ACTIVITYNET_V1,
    TWO_D_TAN_CHARADES_V1,
    TWO_D_TAN_TACOS_V1,
    TWO_D_TAN_V1,
    VSLNET_V1,
)
from vmrbench.score.details import details
from vmrbench.score.measures import mean_iou
from vmrbench.score.moments import predicted_moments, true_moments
from vmrbench.score.result import score_submission
from vmrbench.score.submission import Submission, read_submission
from vmrbench.types import Annotation, Prediction

SUPPRESSION = {
    "charades": TWO_D_TAN_CHARADES_V1,
    "activitynet": TWO_D_TAN_ACTIVITYNET_V1,
    "tacos": TWO_D_TAN_TACOS_V1,
}


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def table(predictions: list[Prediction], annotations: list[Annotation], protocol: Protocol) -> dict[str, float]:
    """Means in percent, by `R<n>@<IoU>` and `mIoU`."""
    predicted, truth = predicted_moments(predictions, annotations, protocol), true_moments(annotations, protocol)
    return {
        found.measure if found.iou is None else f"{found.measure}@{found.iou:g}": found.value
        for found in details(predicted, truth, protocol)
        if found.value is not None
    }


def two_d_tan(folder: Path, name: str, protocol: Protocol) -> tuple[list[Prediction], list[Annotation]]:
    """Score maps as the official code turns them into ranked windows: cell (i, j) is clips i to j, in float32."""
    golden = read(folder / f"{name}.json")
    maps = np.load(folder / f"{name}_score_maps.npz")["score_maps"]
    predictions, annotations = [], []
    for row, truth in enumerate(golden["annotations"]):
        scores = maps[row, 0]
        order = scores.ravel().argsort()[::-1]
        order = order[scores.ravel()[order] > 0]
        cells = np.stack(np.unravel_index(order, scores.shape), axis=1) + np.array([0, 1])
        seconds = cells.astype(np.float32) / np.float32(len(scores)) * np.float32(truth["duration"])
        moments = tuple(
            (float(start), float(end), -float(rank)) for rank, (start, end) in enumerate(seconds.astype(np.float64))
        )
        predictions.append(Prediction(sample_id=str(row), video_id=truth["video"], moments=moments))
        annotations.append(
            Annotation(
                sample_id=str(row),
                video_id=truth["video"],
                sentence=truth["description"],
                duration=truth["duration"],
                moments=(tuple(truth["times"]),),
            )
        )
    return predictions, annotations


@pytest.mark.parametrize("name", list(SUPPRESSION))
def test_2d_tan_scores_its_score_maps_alike(shared_dir: Path, name: str) -> None:
    protocol = SUPPRESSION[name]
    folder = shared_dir / "goldens" / "metrics_2dtan"
    official = read(folder / f"{name}.json")["official_results"][f"nms_{protocol.nms:g}"]

    found = table(*two_d_tan(folder, name, protocol), protocol)

    assert {metric: found[metric] for metric in official} == pytest.approx({m: 100 * v for m, v in official.items()})


def test_2d_tan_keeps_the_windows_that_the_official_suppression_keeps(shared_dir: Path) -> None:
    folder = shared_dir / "goldens" / "metrics_2dtan"
    golden = read(folder / "tacos.json")["top10_after_nms0p5"]
    predictions, annotations = two_d_tan(folder, "tacos", TWO_D_TAN_V1)

    kept = predicted_moments(predictions, annotations, TWO_D_TAN_ACTIVITYNET_V1).spans[:, :10]
    same = np.isclose(kept, np.array(golden), atol=1e-4).all(axis=(1, 2))

    # One query has two cells of exactly one score, which the official sort takes in no fixed order.
    assert same.sum() >= len(golden) - 1


def ego4d_annotations(truth: dict[str, Any]) -> list[Annotation]:
    return [
        Annotation(
            sample_id=f"{clip['clip_uid']}/{asked['annotation_uid']}/{place}",
            video_id=clip["clip_uid"],
            sentence="",
            duration=clip["clip_end_sec"] - clip["clip_start_sec"],
            moments=((float(query["clip_start_sec"]), float(query["clip_end_sec"])),),
            extra={"annotation_uid": asked["annotation_uid"], "query_idx": place},
        )
        for video in truth["videos"]
        for clip in video["clips"]
        for asked in clip["annotations"]
        for place, query in enumerate(asked["language_queries"])
    ]


@pytest.mark.parametrize("zero_length", [True, False])
def test_ego4d_scores_its_results_alike(shared_dir: Path, zero_length: bool) -> None:
    folder = shared_dir / "goldens" / "metrics_ego4d_nlq"
    golden = read(folder / "official_metrics.json")
    annotations = ego4d_annotations(read(folder / "ground_truth.json"))
    submission = read_submission(folder / "predictions.json", annotations, EGO4D_NLQ_V1)
    if not zero_length:
        kept = {a.sample_id for a in annotations if a.moments[0][1] > a.moments[0][0]}
        annotations = [a for a in annotations if a.sample_id in kept]
        submission = Submission(
            predictions=tuple(p for p in submission.predictions if p.sample_id in kept), faults=submission.faults
        )
    suffix = "" if zero_length else "_without_zero_length_gt"

    result = score_submission(submission, annotations, EGO4D_NLQ_V1, name="", intervals=False)
    found = {d.measure if d.iou is None else f"{d.measure}@{d.iou:g}": d.value for d in result.details}
    official = golden[f"official_results{suffix}"]

    assert len(result.per_query) == golden[f"num_predictions{suffix}"]
    assert {name: found[name] for name in official} == pytest.approx({n: 100 * v for n, v in official.items()})
    assert sum(fault.kind == "missing" for fault in submission.faults) == 226 - 220


@pytest.mark.parametrize("name", ["charades", "activitynet", "tacos"])
def test_vslnet_scores_its_spans_alike(shared_dir: Path, name: str) -> None:
    golden = read(shared_dir / "goldens" / "metrics_vslnet" / f"{name}.json")
    predictions, annotations = [], []
    for row, record in enumerate(golden["records"]):
        start, end = record["pred_start_time"], record["pred_end_time"]
        predictions.append(Prediction(sample_id=str(row), video_id=record["vid"], moments=((start, end, 0.0),)))
        annotations.append(
            Annotation(
                sample_id=str(row),
                video_id=record["vid"],
                sentence=record["sentence"],
                duration=record["duration"],
                moments=((record["s_time"], record["e_time"]),),
            )
        )

    found = table(predictions, annotations, VSLNET_V1)
    first = mean_iou(
        predicted_moments(predictions, annotations, VSLNET_V1),
        true_moments(annotations, VSLNET_V1),
        protocol=VSLNET_V1,
    )

    official = golden["official_results"]
    assert {metric: found[metric] for metric in official} == pytest.approx(official)
    assert first == pytest.approx(
        [100 * record["iou"] for record in golden["records"]], abs=1e-4
    )  # the official code works in float32

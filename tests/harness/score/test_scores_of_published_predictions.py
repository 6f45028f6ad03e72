"""Our numbers against the field's own, on the authors' released predictions; skipped where the data is absent."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vmrbench.data.annotations import AnnotationFile, read_annotations
from vmrbench.data.defects import DefectPolicy
from vmrbench.protocol.convention import VMRBENCH_V1
from vmrbench.score.floors import floors
from vmrbench.score.intervals import bootstrap
from vmrbench.score.per_query import score_predictions
from vmrbench.types import Annotation, Prediction


def lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as file:
        yield from map(json.loads, file)


def annotations(path: Path) -> list[Annotation]:
    return [
        Annotation(
            sample_id=str(line["qid"]),
            video_id=line["vid"],
            sentence=line["query"],
            duration=line["duration"],
            moments=tuple((start, end) for start, end in line["relevant_windows"]),
        )
        for line in lines(path)
    ]


def predictions(path: Path) -> list[Prediction]:
    """The first ten listed windows, as the official evaluator reads; released files hold a few empty ones."""
    return [
        Prediction(
            sample_id=str(line["qid"]),
            video_id=line["vid"],
            moments=tuple((s, e, score) for s, e, score in line["pred_relevant_windows"][:10] if s < e),
        )
        for line in lines(path)
    ]


@pytest.fixture(scope="module")
def activitynet_train(shared_dir: Path) -> AnnotationFile:
    policy = DefectPolicy(reversed="drop", zero_length="drop")
    return read_annotations(shared_dir / "data" / "activitynet_captions" / "train.json", policy=policy)


def test_average_precision_is_the_official_one_query_by_query(shared_dir: Path) -> None:
    folder = shared_dir / "goldens" / "metrics_qvhighlights"
    truth = annotations(folder / "subset300_gt.jsonl")
    duration = {annotation.sample_id: annotation.duration for annotation in truth}
    official = json.loads((folder / "random300_per_query.json").read_text(encoding="utf-8"))
    # Where a listed window is empty or leaves the video the conventions differ.
    clean = {
        str(line["qid"])
        for line in lines(folder / "random300_preds.jsonl")
        if all(start < end <= duration[str(line["qid"])] for start, end, _ in line["pred_relevant_windows"][:10])
    }

    scored = score_predictions(predictions(folder / "random300_preds.jsonl"), truth, VMRBENCH_V1)
    ours = dict(zip(scored["sample_id"], scored["mAP"], strict=True))

    assert len(clean) > 250
    assert {name: ours[name] for name in clean} == pytest.approx({n: 100 * np.mean(official[n]["ap"]) for n in clean})


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("moment_detr_sample_val_preds", {"R1@0.5": 53.94, "R1@0.7": 34.84, "mIoU": 49.21, "mAP": 32.20}),
        ("cgdetr_best_hl_val_preds", {"R1@0.5": 67.35, "R1@0.7": 52.06, "mIoU": 61.69, "mAP": 44.93}),
        ("univtg_plot_qvhl_univtg", {"R1@0.5": 68.39, "R1@0.7": 54.00, "mIoU": 62.19, "mAP": 45.99}),
    ],
)
def test_released_predictions_score_what_their_authors_published(
    shared_dir: Path, name: str, expected: dict[str, float]
) -> None:
    truth = annotations(shared_dir / "data" / "qvhighlights" / "highlight_val_release.jsonl")

    scored = score_predictions(predictions(shared_dir / "data" / "predictions" / f"{name}.jsonl"), truth, VMRBENCH_V1)

    assert {metric: round(float(scored[metric].mean()), 2) for metric in expected} == expected


def test_clips_of_one_source_video_are_one_cluster(shared_dir: Path) -> None:
    truth = annotations(shared_dir / "data" / "qvhighlights" / "highlight_val_release.jsonl")
    path = shared_dir / "data" / "predictions" / "moment_detr_sample_val_preds.jsonl"

    interval = bootstrap(score_predictions(predictions(path), truth, VMRBENCH_V1), ["R1@0.7"])["R1@0.7"]

    assert (interval.n, interval.n_clusters) == (1550, 474)
    assert interval.low == pytest.approx(32.5, abs=0.3)
    assert interval.high == pytest.approx(37.2, abs=0.3)


@pytest.mark.parametrize(
    ("train", "test", "constant", "whole"),
    [
        (
            "charades_sta/charades_train_release.jsonl",
            "charades_sta/charades_test_release.jsonl",
            {"R1@0.3": 49.5, "R1@0.5": 30.7, "R1@0.7": 17.3, "mIoU": 30.6},
            {"R1@0.3": 35.0, "R1@0.5": 0.4, "R1@0.7": 0.0, "mIoU": 27.1},
        ),
        (
            "tacos/tacos_train_release.jsonl",
            "tacos/tacos_test_release.jsonl",
            {"R1@0.3": 11.6, "R1@0.5": 3.1, "R1@0.7": 1.2, "mIoU": 9.2},
            {"R1@0.3": 5.9, "R1@0.5": 1.5, "R1@0.7": 0.8, "mIoU": 8.8},
        ),
    ],
)
def test_query_blind_floors_are_the_known_ones(
    shared_dir: Path, train: str, test: str, constant: dict[str, float], whole: dict[str, float]
) -> None:
    data = shared_dir / "data"

    found = floors(annotations(data / train), annotations(data / test))

    assert found.constant == pytest.approx(constant, abs=0.06)
    assert found.whole_video == pytest.approx(whole, abs=0.06)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("split", "constant", "whole"),
    [
        (
            "val_1",
            {"R1@0.3": 42.9, "R1@0.5": 27.4, "R1@0.7": 15.8, "mIoU": 32.3},
            {"R1@0.3": 42.9, "R1@0.5": 22.7, "R1@0.7": 11.4},
        ),
        (
            "val_2",
            {"R1@0.3": 49.5, "R1@0.5": 29.1, "R1@0.7": 16.3, "mIoU": 34.6},
            {"R1@0.3": 48.0, "R1@0.5": 21.2, "R1@0.7": 12.4},
        ),
    ],
)
def test_floors_of_activitynet_captions_are_the_known_ones(
    shared_dir: Path, activitynet_train: AnnotationFile, split: str, constant: dict[str, float], whole: dict[str, float]
) -> None:
    found = floors(activitynet_train, read_annotations(shared_dir / "data/activitynet_captions" / f"{split}.json"))

    assert found.constant == pytest.approx(constant, abs=0.06)
    assert {name: found.whole_video[name] for name in whole} == pytest.approx(whole, abs=0.065)

"""Every value that authors published with their predictions, to the last digit; skipped where the data is absent."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vmrbench.data.annotations import read_annotations
from vmrbench.protocol.published import QVHIGHLIGHTS_V1
from vmrbench.score.measures import precision_by_threshold
from vmrbench.score.moments import overlaps, predicted_moments, true_moments
from vmrbench.score.result import ScoreResult, score_file
from vmrbench.types import Prediction

GOLDEN = "goldens/metrics_qvhighlights"
FILES = [
    ("data/predictions/moment_detr_sample_val_preds", "data/predictions/moment_detr_sample_val_preds_metrics_raw"),
    *[
        (f"data/predictions/{name}", f"data/predictions/{name}_metrics")
        for name in (
            "cgdetr_best_hl_val_preds",
            "eatr_best_hl_val_preds",
            "qddetr_video_best_hl_val_preds",
            "trdetr_best_hl_val_preds",
        )
    ],
    ("data/predictions/moment_detr_sample_val_preds", f"{GOLDEN}/sample_val_preds_metrics_full1550"),
    *[
        (f"{GOLDEN}/{name}_preds", f"{GOLDEN}/{name}_metrics{fork}")
        for name in ("random300", "subset300")
        for fork in ("", "_cgdetr_evaluator")
    ],
]
GROUPS = {"full": "all", "short": "short", "middle": "middle", "long": "long"}


def official(path: Path) -> dict[str, float]:
    """Every number of a metrics file, by its place in it."""
    return dict(flat(json.loads(path.read_text(encoding="utf-8"))))


def flat(node: Any, path: str = "") -> Iterator[tuple[str, float]]:
    if not isinstance(node, dict):
        yield path, node
        return
    for key, value in node.items():
        yield from flat(value, f"{path}/{key}" if path else key)


def ours(result: ScoreResult) -> dict[str, float]:
    """Our numbers under the official names, rounded as the official evaluator rounds."""
    table: dict[str, float] = {}
    for name, group in GROUPS.items():
        for found in result.details:
            if found.group == group and found.value is not None and not found.measure.startswith("dR"):
                measure = f"{name}/MR-{found.measure}"
                last = "" if found.measure == "mIoU" else "/average" if found.iou is None else f"/{found.iou:g}"
                table[f"{measure}{last}"] = float(f"{found.value:.2f}")
        table[f"brief/MR-{name}-mAP"] = table[f"{name}/MR-mAP/average"]
        table[f"brief/MR-{name}-mIoU"] = table[f"{name}/MR-mIoU"]
        for iou in ("0.3", "0.5", "0.7", "0.75"):
            table[f"brief/MR-{name}-R1@{iou}"] = table[f"{name}/MR-R1/{iou}"]
            table[f"brief/MR-{name}-mAP@{iou}"] = table.get(f"{name}/MR-mAP/{iou}", -1.0)
    for level in ("Fair", "Good", "VeryGood"):
        for theirs, our in (("mAP", f"HL-mAP@{level}"), ("Hit1", f"HIT@1@{level}")):
            value = float(f"{result.scores[our].value:.2f}")
            table |= {f"HL-min-{level}/HL-{theirs}": value, f"brief/HL-min-{level}-{theirs}": value}
    return table


@pytest.mark.slow
@pytest.mark.parametrize(("predictions", "metrics"), FILES, ids=[metrics.rpartition("/")[2] for _, metrics in FILES])
def test_every_published_value_is_reproduced(shared_dir: Path, predictions: str, metrics: str) -> None:
    golden = predictions.startswith(GOLDEN)
    truth = f"{GOLDEN}/subset300_gt.jsonl" if golden else "data/qvhighlights/highlight_val_release.jsonl"
    expected = official(shared_dir / f"{metrics}.json")

    result = score_file(
        shared_dir / f"{predictions}.jsonl", read_annotations(shared_dir / truth), "qvhighlights-v1", intervals=False
    )
    found = ours(result)

    assert len(expected) >= 100
    assert {name: found[name] for name in expected} == expected


def test_average_precision_and_first_overlaps_are_the_official_ones_query_by_query(shared_dir: Path) -> None:
    folder = shared_dir / GOLDEN
    annotations = read_annotations(folder / "subset300_gt.jsonl")
    golden = json.loads((folder / "random300_per_query.json").read_text(encoding="utf-8"))
    lines = (folder / "random300_preds.jsonl").read_text(encoding="utf-8").splitlines()
    predictions = [
        Prediction(
            sample_id=str(line["qid"]),
            video_id=line["vid"],
            moments=tuple((start, end, score) for start, end, score in line["pred_relevant_windows"]),
        )
        for line in map(json.loads, lines)
    ]

    predicted = predicted_moments(predictions, annotations, QVHIGHLIGHTS_V1)
    truth = true_moments(annotations, QVHIGHLIGHTS_V1)
    precision = precision_by_threshold(predicted, truth, QVHIGHLIGHTS_V1) / 100
    first = overlaps(predicted, truth, "hull")[:, 0]

    for row, annotation in enumerate(annotations):
        wanted = golden[annotation.sample_id]
        assert precision[row] == pytest.approx(np.array(wanted["ap"]), abs=1e-12)
        assert first[row, : len(annotation.moments)] == pytest.approx(wanted["top1_iou_per_gt"], abs=1e-12)

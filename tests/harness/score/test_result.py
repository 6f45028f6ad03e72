import json
from dataclasses import replace
from pathlib import Path

import pytest

from vmrbench.errors import ConfigError, DataError
from vmrbench.score.page import score_page
from vmrbench.score.result import score_file
from vmrbench.types import Annotation

ANNOTATIONS = [
    Annotation(sample_id=str(i), video_id=f"v{i}", sentence="s", duration=100.0, moments=((0.0, 10.0),))
    for i in range(4)
]


@pytest.fixture
def predictions(tmp_path: Path) -> Path:
    path = tmp_path / "predictions.jsonl"
    lines = [f'{{"qid": {i}, "vid": "v{i}", "pred_relevant_windows": [[0, {10 - 4 * i}, 1]]}}\n' for i in range(2)]
    lines += [f'{{"qid": {i}, "vid": "v{i}", "pred_relevant_windows": []}}\n' for i in (2, 3)]
    path.write_text("".join(lines), encoding="utf-8")
    return path


def test_a_file_is_scored_with_intervals(predictions: Path) -> None:
    found = score_file(predictions, ANNOTATIONS)

    assert (found.scores["R1@0.7"].value, found.scores["mIoU"].value) == (25.0, 40.0)
    assert found.scores["R1@0.7"].n_clusters == 4


def test_the_json_holds_unit_direction_and_interval(predictions: Path) -> None:
    plain = score_file(predictions, ANNOTATIONS).to_json()

    assert plain["protocol"] == "vmrbench-v1"
    assert (plain["n_queries"], plain["n_source_videos"]) == (4, 4)
    assert plain["scores"]["mIoU"] | {"low": 0, "high": 0, "standard_error": 0} == {
        "value": 40.0,
        "low": 0,
        "high": 0,
        "standard_error": 0,
        "n": 4,
        "n_clusters": 4,
        "reason": None,
        "unit": "%",
        "higher_is_better": True,
    }


def test_the_page_shows_every_metric_with_its_direction(predictions: Path) -> None:
    text = score_page(score_file(predictions, ANNOTATIONS))

    assert "| mIoU ↑   |      % |   40.00 |" in text
    assert "4 queries, 4 videos, 4 source videos" in text


def test_intervals_over_queries_take_queries_of_one_video_for_independent(tmp_path: Path) -> None:
    annotations = [replace(annotation, extra={"source_video": "one"}) for annotation in ANNOTATIONS]
    path = tmp_path / "predictions.jsonl"
    rows = [f'{{"qid": {i}, "vid": "v{i}", "pred_relevant_windows": [[{5 * i}, 20, 1]]}}' for i in range(4)]
    path.write_text("\n".join(rows), encoding="utf-8")

    found = score_file(path, annotations)

    assert (found.scores["mIoU"].n_clusters, found.by_query["mIoU"].n_clusters) == (1, 4)
    assert found.scores["mIoU"].low is None
    assert found.by_query["mIoU"].low is not None


def test_highlights_are_scored_where_predictions_and_annotations_have_them(tmp_path: Path) -> None:
    ratings = {"relevant_clip_ids": [0, 1], "saliency_scores": [[2, 2, 2], [4, 3, 1]]}
    annotations = [replace(ANNOTATIONS[0], duration=8.0, moments=((0.0, 4.0),), extra=ratings)]
    path = tmp_path / "predictions.jsonl"
    row = {"qid": 0, "vid": "v0", "pred_relevant_windows": [[0, 4, 1]], "pred_saliency_scores": [0.1, 0.9, 0.5, 0.2]}
    path.write_text(json.dumps(row), encoding="utf-8")

    found = score_file(path, annotations)

    # Very good: only the first rater, clip 1, which scores highest. Fair: the third rater has clip 0 alone, ranked 4th.
    assert {name: found.scores[name].value for name in found.highlights} == {
        "HL-mAP@Fair": pytest.approx(100 * ((1 + 0.5) / 2 + (1 + 0.5) / 2 + 0.25) / 3),
        "HIT@1@Fair": 100.0,
        "HL-mAP@Good": pytest.approx(100 * 2 / 3),
        "HIT@1@Good": 100.0,
        "HL-mAP@VeryGood": pytest.approx(100 / 3),
        "HIT@1@VeryGood": 100.0,
    }


def test_why_there_are_no_highlights_is_said(predictions: Path) -> None:
    assert score_file(predictions, ANNOTATIONS).no_highlights == "query '0' has no saliency scores (4 of 4 have none)"


def test_a_fault_starts_with_the_file(predictions: Path) -> None:
    with pytest.raises(DataError, match=r"predictions\.jsonl: line 4: query '3' has a prediction and no annotation"):
        score_file(predictions, ANNOTATIONS[:3])


def test_an_unknown_protocol_is_refused_with_a_suggestion(predictions: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean 'vmrbench-v1'"):
        score_file(predictions, ANNOTATIONS, "vmrbench-v2")

from pathlib import Path

import pytest

from vmrbench.errors import ConfigError, DataError
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


def test_the_markdown_shows_every_metric_with_its_direction(predictions: Path) -> None:
    text = score_file(predictions, ANNOTATIONS).to_markdown()

    assert "| mIoU ↑   | %      |   40.00 |" in text
    assert "4 queries, 4 videos, 4 source videos" in text


def test_a_fault_starts_with_the_file(predictions: Path) -> None:
    with pytest.raises(DataError, match=r"predictions\.jsonl: line 4: query '3' has a prediction and no annotation"):
        score_file(predictions, ANNOTATIONS[:3])


def test_an_unknown_protocol_is_refused_with_a_suggestion(predictions: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean 'vmrbench-v1'"):
        score_file(predictions, ANNOTATIONS, "vmrbench-v2")

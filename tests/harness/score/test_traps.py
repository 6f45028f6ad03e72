"""What breaks the field's evaluators, one by one: refused, or scored right, or scored as published and said so."""

import json
from pathlib import Path
from typing import Any

import pytest

from vmrbench.errors import DataError
from vmrbench.protocol.published import PROTOCOLS
from vmrbench.score.result import ScoreResult, score_file
from vmrbench.types import Annotation

TRUTH = [
    Annotation(sample_id=str(i), video_id=f"v{i}", sentence="s", duration=100.0, moments=((10.0, 20.0),))
    for i in range(4)
]
RIGHT = [[10, 20, 0.9], [40, 60, 0.2]]


def written(folder: Path, *lists: Any) -> Path:
    path = folder / "predictions.jsonl"
    rows = [{"qid": i, "vid": f"v{i}", "pred_relevant_windows": windows} for i, windows in enumerate(lists)]
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return path


def scores(result: ScoreResult) -> dict[str, float]:
    return {name: round(interval.value, 2) for name, interval in result.scores.items()}


@pytest.mark.parametrize("protocol", list(PROTOCOLS))
@pytest.mark.parametrize("broken", [float("nan"), float("inf")])
def test_a_file_of_nan_is_refused_by_every_protocol(tmp_path: Path, protocol: str, broken: float) -> None:
    path = written(tmp_path, RIGHT, [[broken, broken, 1.0]], RIGHT, RIGHT)

    with pytest.raises(DataError, match=r"line 2: query '1': window 1: .* not finite"):
        score_file(path, TRUTH, protocol)


def test_a_reversed_window_is_refused_with_its_line(tmp_path: Path) -> None:
    path = written(tmp_path, RIGHT, RIGHT, [[20, 10, 1.0]], RIGHT)

    with pytest.raises(DataError, match=r"line 3: query '2': window 1: .* ends before it starts"):
        score_file(path, TRUTH)


def test_a_reversed_window_scores_as_the_published_evaluator_scores_it_and_is_listed(tmp_path: Path) -> None:
    path = written(tmp_path, *[[[20, 10, 1.0]]] * 4)

    found = score_file(path, TRUTH, "qvhighlights-v1")

    # Its overlap is 0/0, which that evaluator takes for a hit in mAP and for a miss in R1.
    assert (scores(found)["mAP"], scores(found)["R1@0.5"]) == (100.0, 0.0)
    assert [(fault.kind, fault.place) for fault in found.faults] == [("reversed", f"line {n}") for n in (1, 2, 3, 4)]


@pytest.mark.parametrize("protocol", ["vmrbench-v1", "qvhighlights-v1"])
def test_emptying_wrong_predictions_does_not_raise_the_mean(tmp_path: Path, protocol: str) -> None:
    wrong = [[70, 90, 0.9]]
    before = score_file(written(tmp_path, RIGHT, RIGHT, wrong, wrong), TRUTH, protocol)

    after = score_file(written(tmp_path, RIGHT, RIGHT, [], []), TRUTH, protocol)

    assert scores(after)["mAP"] == scores(before)["mAP"] == 50.0
    assert [fault.kind for fault in after.faults] == ["no window", "no window"]


def test_a_reordered_list_is_refused_with_its_line(tmp_path: Path) -> None:
    path = written(tmp_path, RIGHT, RIGHT[::-1], RIGHT, RIGHT)

    with pytest.raises(DataError, match=r"line 2: query '1': window 2 scores 0.9, more than the one listed before it"):
        score_file(path, TRUTH)


def test_a_reordered_list_scores_as_the_published_evaluator_scores_it_and_is_listed(tmp_path: Path) -> None:
    found = score_file(written(tmp_path, *[RIGHT[::-1]] * 4), TRUTH, "qvhighlights-v1")

    # R1 reads what is listed first, mAP what scores best.
    assert (scores(found)["R1@0.5"], scores(found)["mAP"]) == (0.0, 100.0)
    assert [fault.kind for fault in found.faults] == ["unsorted"] * 4


def test_a_window_beyond_the_video_is_refused_by_the_strict_protocol_and_listed_by_a_published_one(
    tmp_path: Path,
) -> None:
    path = written(tmp_path, [[10, 130, 1.0]], RIGHT, RIGHT, RIGHT)

    with pytest.raises(DataError, match=r"line 1: query '0': window 1: .* leaves the video of 100 s"):
        score_file(path, TRUTH)
    found = score_file(path, TRUTH, "qvhighlights-v1")

    assert [fault.kind for fault in found.faults] == ["beyond the video"]
    # 10 s of 120 s, not clamped.
    assert found.per_query["mIoU"].iloc[0] == pytest.approx(100 * 10 / 120)


def test_a_missing_query_is_refused_or_left_out_and_listed(tmp_path: Path) -> None:
    path = written(tmp_path, RIGHT, [[70, 90, 0.9]])

    for strict in ("vmrbench-v1", "qvhighlights-v1", "mad-v1"):
        with pytest.raises(DataError, match=r"query '2' has no prediction \(2 of 4 are missing\)"):
            score_file(path, TRUTH, strict)
    found = score_file(path, TRUTH, "ego4d-nlq-v1")

    # As its evaluator does: the mean is over the two that are there.
    assert (scores(found)["R1@0.3"], found.scores["R1@0.3"].n) == (50.0, 2)
    assert [(fault.kind, fault.sample_id) for fault in found.faults] == [("missing", "2"), ("missing", "3")]


@pytest.mark.parametrize("protocol", list(PROTOCOLS))
@pytest.mark.parametrize(
    ("last", "message"),
    [
        ('"qid": 0, "vid": "v0"', "line 5: query '0' was on line 1"),
        ('"qid": 9, "vid": "v9"', "line 5: query '9' has a"),
    ],
)
def test_duplicate_and_unknown_ids_are_refused_by_every_protocol(
    tmp_path: Path, protocol: str, last: str, message: str
) -> None:
    path = written(tmp_path, *[RIGHT] * 4)
    with path.open("a", encoding="utf-8") as file:
        file.write(f'\n{{{last}, "pred_relevant_windows": []}}')

    with pytest.raises(DataError, match=message):
        score_file(path, TRUTH, protocol)

"""What is said beside the scores: sensitivity, comparison, floors, agreement."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from vmrbench.data.annotations import read_annotations
from vmrbench.errors import DataError
from vmrbench.protocol.convention import VMRBENCH_V1
from vmrbench.protocol.published import PROTOCOLS, QVHIGHLIGHTS_V1, TWO_D_TAN_V1
from vmrbench.score.comparison import human_agreement, usual_detectable
from vmrbench.score.floors import floors
from vmrbench.score.intervals import chance_of_difference
from vmrbench.score.scoring import assess
from vmrbench.score.sensitivity import sensitivity
from vmrbench.score.submission import read_submission
from vmrbench.types import Annotation, Prediction

# Columns of "the same predictions under different peers' conventions", by released file.
COLUMNS = [
    *["R1@0.5 >=", "R1@0.5 >", "R1@0.5 first truth", "R1@0.7 >=", "R1@0.7 >", "mIoU", "mAP"],
    *["mAP of the first window", "R1@0.5 one truth", "R1@0.5 several truths"],
]
RELEASED = {
    "moment_detr_sample_val_preds": (53.94, 51.48, 45.16, 34.84, 33.94, 49.21, 32.20, 27.22, 57.9, 46.2),
    "qddetr_video_best_hl_val_preds": (62.90, 60.45, 52.19, 46.77, 46.13, 57.59, 41.24, 35.10, 66.5, 56.0),
    "eatr_best_hl_val_preds": (60.90, 58.90, 50.32, 46.13, 45.55, 55.95, 41.43, 34.63, 64.1, 54.7),
    "cgdetr_best_hl_val_preds": (67.35, 64.52, 55.10, 52.06, 51.42, 61.69, 44.93, 38.83, 69.4, 63.4),
    "trdetr_best_hl_val_preds": (67.10, 65.16, 55.74, 51.48, 50.65, 61.35, 45.09, 39.10, 71.7, 58.3),
    "univtg_plot_qvhl_univtg": (68.39, 68.39, 56.90, 54.00, 54.00, 62.19, 45.99, 39.10, 70.9, 63.6),
}


def truth(sample_id: str, *moments: tuple[float, float], video_id: str = "v") -> Annotation:
    return Annotation(sample_id=sample_id, video_id=video_id, sentence="", duration=100.0, moments=moments)


def answers(folder: Path, name: str, windows: list[list[float]]) -> Path:
    path = folder / name
    rows = [{"qid": i, "vid": f"v{i}", "pred_relevant_windows": [[*w, 1.0]]} for i, w in enumerate(windows)]
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return path


@pytest.mark.slow
@pytest.mark.parametrize("name", list(RELEASED))
def test_released_predictions_under_other_conventions_score_what_is_known(shared_dir: Path, name: str) -> None:
    annotations = read_annotations(shared_dir / "data" / "qvhighlights" / "highlight_val_release.jsonl")
    path = shared_dir / "data" / "predictions" / f"{name}.jsonl"
    submission = read_submission(path, annotations, QVHIGHLIGHTS_V1)

    found = {v.name: v.value for v in sensitivity(submission.predictions, annotations, QVHIGHLIGHTS_V1)}

    digits = [2] * 8 + [1] * 2
    rounded = [round(found[c] or 0, d) for c, d in zip(COLUMNS, digits, strict=True)]
    assert dict(zip(COLUMNS, rounded, strict=True)) == dict(zip(COLUMNS, RELEASED[name], strict=True))


def test_every_row_of_the_sensitivity_table_changes_one_rule() -> None:
    # Half of the first truth exactly, and all of the second but 0.4 s.
    annotations = [truth("a", (0, 20)), truth("b", (50, 60), (80, 90))]
    predictions = [
        Prediction(sample_id="a", video_id="v", moments=((0, 10, 1.0),)),
        Prediction(sample_id="b", video_id="v", moments=((80.4, 90, 1.0), (50, 60, 0.5))),
    ]

    found = {variant.name: variant.value for variant in sensitivity(predictions, annotations, VMRBENCH_V1)}

    assert found["R1@0.5 >="] == 100.0
    assert found["R1@0.5 >"] == 50.0
    assert found["R1@0.5 first truth"] == 50.0
    assert (found["R1@0.5 one truth"], found["R1@0.5 several truths"]) == (100.0, 100.0)
    assert found["mIoU"] == pytest.approx(100 * (0.5 + 0.96) / 2)
    # With one window each: IoU 0.5 reaches one of ten thresholds; IoU 0.96 all ten, for one of two truths.
    assert found["mAP of the first window"] == pytest.approx((10 + 50) / 2)
    assert found["mAP"] == pytest.approx((10 + 100) / 2)


def test_a_protocol_without_average_precision_has_none_in_the_table() -> None:
    predictions = [Prediction(sample_id="a", video_id="v", moments=((0, 10, 1.0),))]

    found = {v.name: v.value for v in sensitivity(predictions, [truth("a", (0, 20))], TWO_D_TAN_V1)}

    assert (found["mAP"], found["R1@0.5 several truths"], found["R1@0.5 >="]) == (None, None, 100.0)


def test_rounding_moves_a_window_to_the_grid() -> None:
    # 0.9 to 10.9 s against 0 to 20 s is IoU 0.5; rounded to seconds also, to 2 s it is 0 to 10 s: IoU 0.5 of 0 to 20.
    predictions = [Prediction(sample_id="a", video_id="v", moments=((0.6, 10.4, 1.0),))]

    found = {v.name: v.value for v in sensitivity(predictions, [truth("a", (0, 20))], VMRBENCH_V1)}

    assert (found["R1@0.5 >="], found["R1@0.5 rounded to 1 s"], found["R1@0.5 rounded to 2 s"]) == (0.0, 0.0, 100.0)


def test_two_files_are_compared_query_by_query(tmp_path: Path) -> None:
    annotations = [truth(str(i), (0, 10), video_id=f"v{i}") for i in range(12)]
    ours = answers(tmp_path, "ours.jsonl", [[0, 10]] * 12)
    theirs = answers(tmp_path, "theirs.jsonl", [[0, 10]] * 6 + [[50, 60]] * 6)

    found = assess(ours, annotations, VMRBENCH_V1, against=theirs)

    assert found.changes is not None
    change = found.changes["R1@0.5"]
    assert change.difference.value == 50.0
    # Six of six differences have one sign: 2 of 64 draws are as extreme.
    assert change.chance == pytest.approx(2 / 64, abs=0.005)
    assert change.difference.standard_error is not None
    assert change.detectable == pytest.approx(2.8 * change.difference.standard_error)
    assert "## Against" in found.to_markdown()
    assert json.dumps(found.to_json(), allow_nan=False)


def test_files_that_answer_other_queries_are_not_compared(tmp_path: Path) -> None:
    annotations = [truth(str(i), (0, 10), video_id=f"v{i}") for i in range(3)]
    ours, theirs = (answers(tmp_path, f"{n}.jsonl", [[0, 10]] * n) for n in (3, 2))

    with pytest.raises(DataError, match=r"3\.jsonl against .*2\.jsonl: .* 1 queries are in one run only"):
        assess(ours, annotations, PROTOCOLS["ego4d-nlq-v1"], against=theirs)


def test_chance_is_the_share_of_signs_that_give_as_much() -> None:
    frame = pd.DataFrame({"sample_id": list("abcd"), "video_id": list("wxyz"), "m": [3.0, 1.0, 1.0, -1.0]})

    # By hand: of 16 signs of (3, 1, 1, 1) those with |sum| >= 4 are 2 of 6 and 6 of 4, 8 in all.
    found = chance_of_difference(frame, ["m"])["m"]

    assert found == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize(("queries", "points"), [(1550, 3.3), (3720, 2.1), (17031, 1.0)])
def test_the_usual_detectable_difference_is_the_known_one(queries: int, points: float) -> None:
    assert round(usual_detectable(queries), 1) == points


def test_human_agreement_is_told_where_it_is_known() -> None:
    assert (human_agreement([truth("a", (0, 1), video_id="3MSZA")]) or "").startswith("Charades-STA: ")
    assert (human_agreement([truth("a", (0, 1), video_id="v_4Lu8ECLHvK4")]) or "").startswith("ActivityNet Captions: ")
    assert human_agreement([truth("a", (0, 1), video_id="bP5KfdFJzC4_360.0_510.0")]) is None


def test_without_train_the_constant_window_is_the_middle_half(tmp_path: Path) -> None:
    annotations = [truth("0", (25, 75), video_id="v0"), truth("1", (0, 50), video_id="v1")]
    path = answers(tmp_path, "p.jsonl", [[0, 10]] * 2)

    found = assess(path, annotations, VMRBENCH_V1)
    fitted = assess(path, annotations, VMRBENCH_V1, train=[truth("t", (0, 50))])

    assert (found.fitted, fitted.fitted) == (False, True)
    assert found.floors.constant is not None
    assert fitted.floors.constant is not None
    # The middle half overlaps the second moment by 25 of 75 s.
    assert found.floors.constant["mIoU"] == pytest.approx(100 * (1 + 1 / 3) / 2)
    assert fitted.floors.constant["R1@0.7"] == 50.0


def test_floors_follow_the_operator_of_the_protocol() -> None:
    # The whole video overlaps by exactly a half.
    annotations = [truth("a", (0, 50))]

    assert floors(None, annotations, QVHIGHLIGHTS_V1).whole_video["R1@0.5"] == 100.0
    assert floors(None, annotations, TWO_D_TAN_V1).whole_video["R1@0.5"] == 0.0


@pytest.mark.slow
def test_query_blind_floors_of_qvhighlights_are_the_known_ones(shared_dir: Path) -> None:
    folder = shared_dir / "data" / "qvhighlights"
    val, test = (read_annotations(folder / f"highlight_{name}.jsonl") for name in ("val_release", "test_with_gt"))

    def constant(split: Sequence[Annotation], start: float, metric: str) -> float:
        found = floors(None, split, QVHIGHLIGHTS_V1, window=(start, 1.0)).constant
        return round((found or {})[metric], 2)

    # The known windows were fitted on a grid of 1/15 and a part of train, and scored in shares of the video: there some
    # moments of exactly IoU 0.5 fall short by rounding, which in seconds reach it.
    known = pytest.approx([13.9, 13.8], abs=0.06)
    assert [constant(in_shares(split), 7 / 15, "R1@0.5") for split in (val, test)] == known
    assert [constant(split, 7 / 15, "R1@0.5") for split in (val, test)] == [14.19, 13.94]
    assert [constant(split, 4 / 15, "R1@0.7") for split in (val, test)] == [6.0, 6.68]
    whole = floors(None, val, QVHIGHLIGHTS_V1).whole_video
    assert whole == pytest.approx({"R1@0.5": 9.0, "R1@0.7": 6.1, "mIoU": 23.9}, abs=0.06)


@pytest.mark.slow
def test_the_window_fitted_on_all_of_qvhighlights_train_is_the_one_a_loop_finds(shared_dir: Path) -> None:
    folder = shared_dir / "data" / "qvhighlights"
    train, val = (read_annotations(folder / f"highlight_{name}_release.jsonl") for name in ("train", "val"))

    found = floors(train, val, QVHIGHLIGHTS_V1)

    assert found.constant is not None
    assert found.constant_window is not None
    assert found.constant_window["R1@0.5"] == (0.5, 1.0)
    assert found.constant["R1@0.5"] == pytest.approx(100 * np.mean([half_overlaps(truth) for truth in val]))


def in_shares(annotations: Sequence[Annotation]) -> list[Annotation]:
    """The same moments as shares of their video, which then has one second."""
    return [
        replace(a, duration=1.0, moments=tuple((start / a.duration, end / a.duration) for start, end in a.moments))
        for a in annotations
    ]


def half_overlaps(annotation: Annotation) -> bool:
    """Whether the second half of the video reaches IoU 0.5 with a true moment."""
    start, end = annotation.duration / 2, annotation.duration
    for left, right in annotation.moments:
        common = max(0.0, min(right, end) - max(left, start))
        if common / (end - start + right - left - common) >= 0.5:
            return True
    return False

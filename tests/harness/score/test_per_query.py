import math

import numpy as np
import pytest

from vmrbench.errors import DataError
from vmrbench.protocol.convention import VMRBENCH_V1
from vmrbench.score.moments import MomentTable, source_video
from vmrbench.score.per_query import score_predictions
from vmrbench.specs import MetricSpec
from vmrbench.types import Annotation, Prediction

Moments = tuple[tuple[float, float], ...]


def truth(*moments: tuple[float, float], sample_id: str = "q", duration: float = 100.0) -> Annotation:
    return Annotation(sample_id=sample_id, video_id="v", sentence="s", duration=duration, moments=moments)


def answer(*moments: tuple[float, float, float], sample_id: str = "q") -> Prediction:
    return Prediction(sample_id=sample_id, video_id="v", moments=moments)


def score(prediction: Prediction, annotation: Annotation, metric: str) -> float:
    return float(score_predictions([prediction], [annotation], VMRBENCH_V1)[metric].iloc[0])


def test_recall_reads_the_window_of_highest_score_and_not_the_first_listed() -> None:
    assert score(answer((50, 60, 0.1), (0, 10, 0.9)), truth((0, 10)), "R1@0.7") == 100.0


def test_equal_scores_rank_in_file_order() -> None:
    assert score(answer((50, 60, 0.5), (0, 10, 0.5)), truth((0, 10)), "R1@0.3") == 0.0


def test_an_overlap_equal_to_the_threshold_counts() -> None:
    assert score(answer((0, 5, 1.0)), truth((0, 10)), "R1@0.5") == 100.0


def test_decimal_times_at_the_threshold_count_although_floats_fall_short() -> None:
    assert (0.3 - 0.1) / (0.5 - 0.1) < 0.5

    assert score(answer((0.1, 0.3, 1.0)), truth((0.1, 0.5)), "R1@0.5") == 100.0


def test_an_overlap_clearly_below_the_threshold_misses() -> None:
    assert score(answer((0, 4.9999, 1.0)), truth((0, 10)), "R1@0.5") == 0.0


def test_recall_takes_the_best_of_several_true_windows() -> None:
    assert score(answer((40, 50, 1.0)), truth((0, 10), (40, 50)), "R1@0.7") == 100.0


def test_five_windows_are_looked_at_for_r5_and_no_more() -> None:
    wrong = [(50.0 + i, 60.0 + i, 1.0 - 0.1 * i) for i in range(5)]

    assert score(answer(*wrong[:4], (0, 10, 0.0)), truth((0, 10)), "R5@0.7") == 100.0
    assert score(answer(*wrong, (0, 10, 0.0)), truth((0, 10)), "R5@0.7") == 0.0


def test_mean_iou_uses_the_true_union() -> None:
    # 5 s of overlap, 15 s of union.
    assert score(answer((5, 15, 1.0)), truth((0, 10)), "mIoU") == pytest.approx(100 / 3)


def test_windows_are_clamped_to_the_video() -> None:
    assert score(answer((-5, 10, 1.0)), truth((0, 10)), "mIoU") == 100.0
    assert score(answer((90, 300, 1.0)), truth((90, 100)), "mIoU") == 100.0


def test_a_window_outside_the_video_keeps_its_rank_and_misses() -> None:
    assert score(answer((200, 300, 1.0), (0, 10, 0.5)), truth((0, 10)), "R1@0.3") == 0.0


def test_average_precision_interpolates() -> None:
    # Miss, hit, hit on two true windows: precision 1/2 at recall 1/2 and 2/3 at recall 1; the better one counts twice.
    found = score(answer((50, 60, 0.9), (0, 10, 0.8), (20, 30, 0.7)), truth((0, 10), (20, 30)), "mAP")

    assert found == pytest.approx(100 * 2 / 3)


def test_a_true_window_is_matched_once() -> None:
    # The second window finds the same truth again and is a miss; one of two true windows is never found.
    assert score(answer((0, 10, 0.9), (0, 10, 0.8)), truth((0, 10), (50, 60)), "mAP") == pytest.approx(50.0)


def test_average_precision_is_averaged_over_thresholds() -> None:
    # IoU 0.72 reaches 0.5, 0.55, 0.6, 0.65 and 0.7: five of ten.
    assert score(answer((0, 7.2, 1.0)), truth((0, 10)), "mAP") == pytest.approx(50.0)


def test_a_query_without_predictions_counts_nothing_everywhere() -> None:
    row = score_predictions([answer()], [truth((0, 10))], VMRBENCH_V1).iloc[0]

    assert [row[name] for name in ("R1@0.3", "R5@0.7", "mIoU", "mAP")] == [0.0, 0.0, 0.0, 0.0]


def test_rows_are_in_the_order_of_the_annotations() -> None:
    annotations = [truth((0, 10), sample_id="b"), truth((50, 60), sample_id="a")]
    predictions = [answer((50, 60, 1.0), sample_id="a"), answer((90, 95, 1.0), sample_id="b")]

    scored = score_predictions(predictions, annotations, VMRBENCH_V1)

    assert list(scored["sample_id"]) == ["b", "a"]
    assert list(scored["R1@0.5"]) == [0.0, 100.0]


@pytest.mark.parametrize(
    ("predictions", "message"),
    [
        ([answer(sample_id="x"), answer()], "'x' has a prediction and no annotation"),
        ([answer(), answer()], "'q' has two predictions"),
        ([], r"'q' has no prediction \(1 of 1 are missing\)"),
        ([answer((3.0, 2.0, 1.0))], "'q': window .* ends before it starts"),
        ([answer((2.0, 2.0, 1.0))], "'q': window .* has no length"),
        ([answer((0.0, math.nan, 1.0))], "'q': window .* not finite"),
        ([Prediction(sample_id="q", video_id="w", moments=())], "predicted in video 'w', annotated in 'v'"),
    ],
)
def test_predictions_that_cannot_be_scored_are_refused(predictions: list[Prediction], message: str) -> None:
    with pytest.raises(DataError, match=message):
        score_predictions(predictions, [truth((0, 10))], VMRBENCH_V1)


@pytest.mark.parametrize("moments", [(), ((5.0, 4.0),), ((3.0, 3.0),), ((200.0, 210.0),), ((math.nan, 1.0),)])
def test_truth_that_cannot_be_scored_is_refused(moments: Moments) -> None:
    with pytest.raises(DataError, match="annotation 'q'"):
        score_predictions([answer()], [truth(*moments)], VMRBENCH_V1)


def test_a_plugged_in_metric_gets_a_column() -> None:
    def first_start(predicted: MomentTable, _: MomentTable) -> list[float]:
        return [float(value) for value in predicted.spans[:, 0, 0]]

    metric = MetricSpec(name="start", summary="", unit="s", higher_is_better=False, compute=first_start)

    scored = score_predictions([answer((4, 5, 1.0))], [truth((0, 10))], VMRBENCH_V1, [metric])

    assert list(scored["start"]) == [4.0]


def test_a_metric_that_gives_nan_is_refused() -> None:
    metric = MetricSpec(
        name="odd", summary="", unit="", higher_is_better=True, compute=lambda predicted, _: np.full(1, math.nan)
    )

    with pytest.raises(DataError, match="metric 'odd'"):
        score_predictions([answer()], [truth((0, 10))], VMRBENCH_V1, [metric])


def test_videos_cut_from_one_source_share_it() -> None:
    def named(video_id: str, **extra: str) -> Annotation:
        return Annotation(
            sample_id="q", video_id=video_id, sentence="", duration=1.0, moments=((0.0, 1.0),), extra=extra
        )

    assert source_video(named("bP5KfdFJzC4_660.0_810.0")) == "bP5KfdFJzC4"
    assert source_video(named("s30-d52")) == "s30-d52"
    assert source_video(named("part_2", source_video="whole")) == "whole"

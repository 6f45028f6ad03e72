import pytest

from vmrbench.score.floors import floors
from vmrbench.types import Annotation


def annotation(*moments: tuple[float, float], duration: float = 100.0) -> Annotation:
    return Annotation(sample_id="q", video_id="v", sentence="", duration=duration, moments=moments)


def test_the_constant_window_is_the_one_that_fits_train() -> None:
    found = floors([annotation((20, 40))], [annotation((40, 80), duration=200.0), annotation((80, 100))])

    assert found.constant_window is not None
    assert found.constant is not None
    assert found.constant_window["mIoU"] == (0.2, 0.4)
    assert found.constant["mIoU"] == pytest.approx(50.0)


def test_of_equally_good_windows_the_earliest_is_taken() -> None:
    # [0, 0.4] overlaps by 20 of 40 s of union: the first window of the grid to reach 0.5.
    found = floors([annotation((20, 40))], [annotation((20, 40))])

    assert found.constant_window is not None
    assert found.constant_window["R1@0.5"] == (0.0, 0.4)


def test_the_whole_video_scores_the_share_of_the_moment() -> None:
    found = floors(None, [annotation((0, 60)), annotation((0, 40))])

    assert found.whole_video == {"R1@0.3": 100.0, "R1@0.5": 50.0, "R1@0.7": 0.0, "mIoU": 50.0}


def test_the_best_of_several_true_windows_counts() -> None:
    found = floors(None, [annotation((0, 10), (20, 90))])

    assert found.whole_video["mIoU"] == pytest.approx(70.0)


def test_a_random_window_on_a_moment_as_long_as_the_video_overlaps_by_a_third() -> None:
    # The distance of two uniform numbers has mean 1/3, and exceeds t with probability (1 - t)^2.
    found = floors(None, [annotation((0, 100))] * 500)

    assert found.random["mIoU"] == pytest.approx(100 / 3, abs=0.5)
    assert found.random["R1@0.5"] == pytest.approx(25.0, abs=0.7)


def test_without_a_train_split_there_is_no_constant_window() -> None:
    found = floors(None, [annotation((0, 60))])

    assert (found.constant, found.constant_window) == (None, None)
    assert found.best("R1@0.5") == 100.0

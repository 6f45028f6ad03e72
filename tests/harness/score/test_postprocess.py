import math

import pytest
import torch

from vmrbench.errors import DataError
from vmrbench.postprocess import to_predictions
from vmrbench.testing.factories import make_batch


def test_moments_are_clamped_to_the_video_and_ranked_by_score() -> None:
    batch = make_batch(lengths=[10])  # 20 s
    spans = torch.tensor([[[-3.0, 4.0], [5.0, 30.0]]])

    (found,) = to_predictions(spans, torch.tensor([[0.25, 0.75]]), batch)

    assert found.moments == ((5.0, 20.0, 0.75), (0.0, 4.0, 0.25))


def test_empty_slots_are_dropped_whatever_their_span() -> None:
    batch = make_batch(lengths=[10])
    spans = torch.tensor([[[math.nan, math.nan], [1.0, 2.0]]])

    (found,) = to_predictions(spans, torch.tensor([[-math.inf, 0.5]]), batch)

    assert found.moments == ((1.0, 2.0, 0.5),)


def test_moments_without_length_inside_the_video_are_dropped() -> None:
    batch = make_batch(lengths=[10])
    spans = torch.tensor([[[3.0, 3.0], [6.0, 5.0], [21.0, 25.0]]])

    (found,) = to_predictions(spans, torch.tensor([[3.0, 2.0, 1.0]]), batch)

    assert found.moments == ()


def test_equal_scores_keep_the_order_of_the_slots() -> None:
    batch = make_batch(lengths=[10])
    spans = torch.tensor([[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]])

    (found,) = to_predictions(spans, torch.tensor([[0.5, 0.5, 0.5]]), batch)

    assert [moment[0] for moment in found.moments] == [1.0, 3.0, 5.0]


def test_the_best_hundred_are_kept() -> None:
    batch = make_batch(lengths=[10])
    spans = torch.tensor([[1.0, 2.0]]).expand(1, 130, 2)

    (found,) = to_predictions(spans, torch.arange(130.0)[None], batch)

    assert [moment[2] for moment in found.moments] == [float(score) for score in range(129, 29, -1)]


@pytest.mark.parametrize("score", [math.nan, math.inf])
def test_a_score_that_is_no_number_names_the_sample(score: float) -> None:
    batch = make_batch(lengths=[10, 7])
    scores = torch.tensor([[0.5], [score]])

    with pytest.raises(DataError, match="'q1': the score of slot 0"):
        to_predictions(torch.ones(2, 1, 2), scores, batch)


def test_a_nan_in_a_moment_names_the_sample() -> None:
    batch = make_batch(lengths=[10])

    with pytest.raises(DataError, match="'q0': the moment of slot 0"):
        to_predictions(torch.tensor([[[1.0, math.nan]]]), torch.tensor([[0.5]]), batch)

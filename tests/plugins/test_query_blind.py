"""The floors: what they learn from annotations, by hand and by brute force; that they read nothing else."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vmrbench.catalog import load_catalog
from vmrbench.errors import ConfigError
from vmrbench.models import build_backbone
from vmrbench.postprocess import to_predictions
from vmrbench.score.floors import floors, ranked_windows
from vmrbench.specs import Dims
from vmrbench.testing.factories import make_batch
from vmrbench.trim.axis import axis_to_seconds
from vmrbench.types import Annotation, Batch

DIMS = Dims(video=16, text=12)
LEARNED = ["constant_window", "prior_sampler"]


def annotation(*moments: tuple[float, float], duration: float = 100.0, name: str = "q") -> Annotation:
    return Annotation(sample_id=name, video_id="v", sentence="", duration=duration, moments=moments)


def answers(model: Any, batch: Batch) -> list[list[tuple[float, float]]]:
    moments = model.predict(model(batch), batch)
    found = to_predictions(axis_to_seconds(moments.spans, batch), moments.scores, batch)
    return [[(round(start, 3), round(end, 3)) for start, end, _ in each.moments] for each in found]


def fitted(name: str, *annotations: Annotation, seed: int = 0, **options: Any) -> Any:
    torch.manual_seed(seed)
    model: Any = build_backbone(name, options, dims=DIMS)
    model.fit_annotations(annotations)
    return model.eval()


def exact_iou(a: tuple[Fraction, Fraction], b: tuple[Fraction, Fraction]) -> Fraction:
    inside = max(min(a[1], b[1]) - max(a[0], b[0]), Fraction(0))
    return inside / (a[1] - a[0] + b[1] - b[0] - inside)


def test_the_whole_video_is_answered_at_its_own_length() -> None:
    model = build_backbone("whole_video", dims=DIMS)

    assert answers(model, make_batch([10, 7])) == [[(0.0, 20.0)], [(0.0, 14.0)]]


def test_the_constant_window_is_a_share_of_each_video() -> None:
    # Equal to the only moment of train, which the whole grid of multiples of 0.05 holds.
    model = fitted("constant_window", annotation((20, 40)), metric="mIoU")

    assert answers(model, make_batch([10, 7])) == [[(4.0, 8.0)], [(2.8, 5.6)]]


def test_later_windows_are_those_that_add_most() -> None:
    # Two queries at [0, 20], one at [50, 100]: a window for the two first, then one for the other, then none is left.
    model = fitted("constant_window", annotation((0, 20)), annotation((0, 20)), annotation((50, 100)), metric="R1@0.7")

    # 0.7 of a moment of 20 s within the grid: [0, 15] is the earliest and shortest; of 50 s, [50, 85]
    # is met first by windows that start before it: 35 of 50 s inside and as few outside as the grid allows.
    first, second = answers(model, make_batch([10]))[0]
    assert first == (0.0, 3.0)
    assert Fraction(7, 10) <= exact_iou(
        (Fraction(second[0]).limit_denominator(100) * 5, Fraction(second[1]).limit_denominator(100) * 5),
        (Fraction(50), Fraction(100)),
    )


MOMENTS = st.lists(
    st.tuples(st.integers(0, 39), st.integers(1, 20)).map(lambda pair: (pair[0], min(40, pair[0] + pair[1]))),
    min_size=1,
    max_size=6,
)


@settings(max_examples=30)
@given(moments=MOMENTS, threshold=st.sampled_from(["0.3", "0.5", "0.7"]))
def test_ranked_windows_are_those_of_exact_arithmetic(moments: list[tuple[int, int]], threshold: str) -> None:
    grid = [(Fraction(a, 20), Fraction(b, 20)) for a in range(20) for b in range(a + 1, 21)]
    truth = [(Fraction(start, 40), Fraction(end, 40)) for start, end in moments]
    hit = {w: {i for i, t in enumerate(truth) if exact_iou(w, t) >= Fraction(threshold)} for w in grid}
    expected, covered = [], set[int]()
    while len(expected) < 4:
        best = max(grid, key=lambda w: len(hit[w] - covered))
        if not hit[best] - covered and expected:
            break
        expected.append(best)
        covered |= hit[best]

    found = ranked_windows([annotation(m, duration=40.0) for m in moments], f"R1@{threshold}", 4)

    assert found == [(float(start), float(end)) for start, end in expected]


@settings(max_examples=20)
@given(moments=MOMENTS, metric=st.sampled_from(["R1@0.3", "R1@0.5", "mIoU"]))
def test_the_first_window_is_the_floor_of_the_report(moments: list[tuple[int, int]], metric: str) -> None:
    train = [annotation(m, duration=40.0) for m in moments]

    windows = floors(train, train).constant_window

    assert windows is not None
    assert ranked_windows(train, metric, 1) == [windows[metric]]


def test_drawn_moments_are_those_of_train_as_often_as_there() -> None:
    # One moment in four is [0, 10] of 20 s, three are [50, 100] of 100 s.
    train = [annotation((0, 10), duration=20.0), *[annotation((50, 100))] * 3]
    model = fitted("prior_sampler", *train, moments=1)
    batch = make_batch([10])
    names = tuple(f"query {place}" for place in range(4000))
    many = replace(
        batch,
        sample_ids=names,
        video_ids=names,
        **{
            key: getattr(batch, key).repeat(4000, *[1] * (getattr(batch, key).dim() - 1))
            for key in ("clips", "clip_mask", "clip_start", "clip_end", "index", "fine_weight", "query", "query_mask")
        },
        duration=batch.duration.repeat(4000),
        moments=None,
    )

    drawn = Counter(moments[0] for moments in answers(model, many))

    assert set(drawn) == {(0.0, 10.0), (10.0, 20.0)}
    # Four standard deviations of a binomial of 4,000 at a quarter.
    assert drawn[0.0, 10.0] / 4000 == pytest.approx(0.25, abs=4 * (0.25 * 0.75 / 4000) ** 0.5)


def test_draws_depend_on_sample_and_seed_alone() -> None:
    train = [annotation((place, place + 5)) for place in range(90)]
    batch, alone = make_batch([10, 7]), make_batch([10])
    first, again, other = (fitted("prior_sampler", *train, seed=seed) for seed in (0, 0, 1))

    assert answers(first, batch)[0] == answers(again, alone)[0]
    assert answers(first, batch)[0] != answers(other, batch)[0]
    assert len(set(answers(first, batch)[0])) > 1


def test_every_true_moment_of_a_query_is_in_the_prior() -> None:
    model = fitted("prior_sampler", annotation((0, 10), (40, 50)), moments=50)

    assert set(answers(model, make_batch([50]))[0]) == {(0.0, 10.0), (40.0, 50.0)}


def test_the_expected_score_of_a_draw_is_the_mean_over_the_moments_of_train() -> None:
    # Against [0, 50]: IoU 1, 0.5 and 0, each with a third; three standard deviations of 100,000 draws are 0.4 points.
    train = [annotation((0, 50)), annotation((0, 25)), annotation((50, 100))]

    found = floors(train, [annotation((0, 50))] * 500).prior

    assert found is not None
    assert found["mIoU"] == pytest.approx(50.0, abs=0.5)
    assert found["R1@0.7"] == pytest.approx(100 / 3, abs=0.5)
    assert floors(None, [annotation((0, 50))]).prior is None


@pytest.mark.parametrize("name", LEARNED)
def test_before_anything_is_learned_the_whole_video_is_answered(name: str) -> None:
    model = build_backbone(name, {"moments": 2}, dims=DIMS)

    assert set(answers(model, make_batch([10]))[0]) == {(0.0, 20.0)}


@pytest.mark.parametrize("metric", ["R1@1.5", "R5@0.5", "R1@half", "mAP"])
def test_a_metric_that_no_window_can_be_fitted_to_is_a_mistake(metric: str) -> None:
    with pytest.raises(ConfigError, match="expected mIoU, or R1@ and an IoU above 0"):
        build_backbone("constant_window", {"metric": metric}, dims=DIMS)


def test_the_floors_are_offered_with_their_sources() -> None:
    blind = {name: offer.spec for name, offer in load_catalog().backbones.items() if not offer.spec.reads_features}

    assert {name: spec.learns for name, spec in blind.items()} == {
        "constant_window": "annotations",
        "prior_sampler": "annotations",
        "whole_video": "nothing",
    }

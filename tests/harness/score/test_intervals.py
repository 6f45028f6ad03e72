import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from vmrbench.errors import DataError
from vmrbench.protocol.convention import VMRBENCH_V1
from vmrbench.score.intervals import average_seeds, bootstrap, over_seeds, paired_difference, unpaired_difference


def frame(values: list[float], videos: list[str] | None = None, ids: list[str] | None = None) -> pd.DataFrame:
    count = len(values)
    return pd.DataFrame(
        {
            "sample_id": ids or [f"q{i}" for i in range(count)],
            "video_id": videos or [f"v{i}" for i in range(count)],
            "m": values,
        }
    )


def draws(count: int, seed: int = 0) -> list[float]:
    return [float(value) for value in np.random.default_rng(seed).normal(50.0, 20.0, count)]


def test_the_value_is_the_mean_over_queries() -> None:
    found = bootstrap(frame([0.0, 100.0, 100.0, 0.0, 50.0], ["a", "a", "a", "b", "b"]), ["m"])["m"]

    assert (found.value, found.n, found.n_clusters) == (50.0, 5, 2)


def test_with_one_query_a_video_the_standard_error_is_the_textbook_one() -> None:
    values = draws(400)

    found = bootstrap(frame(values), ["m"])["m"]

    assert found.standard_error == pytest.approx(float(np.std(values)) / 20, rel=0.03)


def test_the_interval_is_about_two_standard_errors_to_each_side() -> None:
    found = bootstrap(frame(draws(400)), ["m"])["m"]

    assert found.low is not None
    assert found.high is not None
    assert found.standard_error is not None
    assert found.high - found.low == pytest.approx(2 * 1.96 * found.standard_error, rel=0.04)


def test_queries_that_repeat_a_video_do_not_narrow_the_interval() -> None:
    values = draws(100)
    once = bootstrap(frame(values), ["m"])["m"]
    repeated = frame([v for v in values for _ in range(9)], [f"v{i}" for i in range(100) for _ in range(9)])

    found = bootstrap(repeated, ["m"])["m"]

    assert (found.low, found.high) == (pytest.approx(once.low), pytest.approx(once.high))


def test_two_clusters_give_the_four_possible_resamples() -> None:
    # Drawn twice of {0: one query, 100: three queries}: 0 (1/4), 75 (1/2), 100 (1/4).
    found = bootstrap(frame([0.0, 100.0, 100.0, 100.0], ["a", "b", "b", "b"]), ["m"])["m"]

    assert (found.low, found.high) == (0.0, 100.0)
    assert found.standard_error == pytest.approx(math.sqrt(0.25 * 62.5**2 + 0.5 * 12.5**2 + 0.25 * 37.5**2), rel=0.03)


def test_source_videos_are_the_clusters_where_they_are_known() -> None:
    per_query = frame([0.0, 100.0, 50.0]).assign(source_id=["s", "s", "t"])

    assert bootstrap(per_query, ["m"])["m"].n_clusters == 2


def test_one_video_gives_no_interval_and_says_why() -> None:
    found = bootstrap(frame([0.0, 100.0], ["a", "a"]), ["m"])["m"]

    assert (found.value, found.low, found.high) == (50.0, None, None)
    assert found.reason == "an interval needs at least 2 source videos, found 1"


def test_the_same_seed_gives_the_same_interval_and_another_seed_another() -> None:
    per_query = frame(draws(50))

    first, second = bootstrap(per_query, ["m"]), bootstrap(per_query, ["m"])
    other = bootstrap(per_query, ["m"], replace(VMRBENCH_V1, seed=1))

    assert first == second
    assert first != other


def test_a_paired_difference_ignores_what_both_share() -> None:
    base = draws(60)
    a, b = frame([value + 1.0 for value in base]), frame(base)

    found = paired_difference(a, b, ["m"])["m"]

    assert (found.value, found.low, found.high) == (pytest.approx(1.0), pytest.approx(1.0), pytest.approx(1.0))


def test_a_paired_difference_matches_queries_by_id() -> None:
    a = frame([1.0, 2.0], ids=["x", "y"])
    b = frame([20.0, 10.0], ids=["y", "x"])

    assert paired_difference(a, b, ["m"])["m"].value == pytest.approx(-13.5)


def test_a_paired_difference_of_other_queries_is_refused() -> None:
    with pytest.raises(DataError, match="2 queries are in one run only, such as 'y'"):
        paired_difference(frame([1.0, 2.0], ids=["x", "y"]), frame([1.0, 2.0], ids=["x", "z"]), ["m"])


def test_a_repeated_query_is_refused() -> None:
    with pytest.raises(DataError, match="'x' comes twice"):
        paired_difference(frame([1.0, 2.0], ids=["x", "x"]), frame([1.0, 2.0], ids=["x", "x"]), ["m"])


def test_seeds_are_averaged_query_by_query() -> None:
    found = average_seeds([frame([0.0, 100.0]), frame([50.0, 100.0])], ["m"])

    assert list(found["m"]) == [25.0, 100.0]


def test_seed_scores_hold_the_mean_and_every_seed() -> None:
    found = over_seeds([frame([0.0, 100.0]), frame([100.0, 100.0])], ["m"])

    assert found.mean["m"].value == 75.0
    assert found.per_seed["m"] == (50.0, 100.0)


def test_a_nan_is_refused_with_its_query() -> None:
    with pytest.raises(DataError, match="'m' of query 'q1' is NaN"):
        bootstrap(frame([1.0, math.nan]), ["m"])


def test_a_missing_column_is_refused() -> None:
    with pytest.raises(DataError, match="no column 'other'"):
        bootstrap(frame([1.0]), ["other"])


def test_an_unpaired_gap_has_the_textbook_standard_error() -> None:
    a, b = draws(300, 1), draws(500, 2)

    found = unpaired_difference(frame(a), frame(b), ["m"])["m"]

    assert found.value == pytest.approx(np.mean(a) - np.mean(b))
    assert (found.n, found.n_clusters) == (800, 800)
    assert found.standard_error == pytest.approx((np.var(a) / 300 + np.var(b) / 500) ** 0.5, rel=0.03)


def test_two_samples_of_one_size_are_resampled_apart() -> None:
    # Drawn together, equal samples would differ by 0 in every resample.
    values = draws(200)

    found = unpaired_difference(frame(values), frame(values), ["m"])["m"]

    assert found.value == 0.0
    assert found.standard_error == pytest.approx((2 * np.var(values) / 200) ** 0.5, rel=0.03)


def test_the_gap_of_two_videos_each_is_the_one_counted_out() -> None:
    # A resample of two videos is twice the first (1/4), twice the second (1/4) or one of each (1/2). One of each of `a`
    # has three queries, of mean 60.
    a = frame([0.0, 90.0, 90.0], ["x", "y", "y"])
    b = frame([10.0, 30.0], ["u", "v"])
    means_a, means_b = [0.0, 60.0, 60.0, 90.0], [10.0, 20.0, 20.0, 30.0]
    pairs = [first - second for first in means_a for second in means_b]

    found = unpaired_difference(a, b, ["m"])["m"]

    assert found.value == pytest.approx(60.0 - 20.0)
    assert found.standard_error == pytest.approx(float(np.std(pairs)), rel=0.03)
    assert found.low == min(pairs)
    assert found.high == max(pairs)


def test_a_gap_to_a_single_video_has_no_interval() -> None:
    found = unpaired_difference(frame(draws(5)), frame([1.0, 2.0], ["v", "v"]), ["m"])["m"]

    assert (found.low, found.high) == (None, None)
    assert found.reason == "an interval needs at least 2 source videos, found 1"

"""Trimmers that rank clips, groups or windows by their match with the query, against slow second implementations."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from rival_selection import Says, decide, places

from vmrbench.catalog import load_catalog, make_options
from vmrbench.errors import ConfigError
from vmrbench.specs import TrimDims
from vmrbench.testing.factories import make_batch
from vmrbench.types import Batch
from vmrbench_plugins import cone_windows, cosine_topk, decafnet_block
from vmrbench_plugins.cone_windows import best_windows
from vmrbench_plugins.decafnet_block import group_means

DIMS = TrimDims(index=8, text=12, rows=24, embedding=None, fine=16, index_groups={"Other": 3, "Common": 5})
SCORES = st.lists(st.floats(-3, 3, width=32), min_size=1, max_size=40)


def padded(scores: list[float]) -> tuple[torch.Tensor, torch.Tensor]:
    """[1, L + 2] scores with two padded clips that would win, and the mask."""
    real = torch.tensor([[*scores, 9.0, 9.0]])
    mask = torch.ones_like(real, dtype=torch.bool)
    mask[:, -2:] = False
    return real, mask


def never() -> Iterator[Batch]:
    raise AssertionError("the training split was read")
    yield


@given(scores=SCORES, size=st.integers(1, 9))
def test_the_score_of_a_group_is_the_mean_of_its_real_clips(scores: list[float], size: int) -> None:
    values, mask = padded(scores)

    found = group_means(values, mask, size)[0, : len(scores)]

    groups = [scores[start : start + size] for start in range(0, len(scores), size)]
    expected = [sum(groups[clip // size]) / len(groups[clip // size]) for clip in range(len(scores))]
    assert found.tolist() == pytest.approx(expected, abs=1e-4)


@given(scores=SCORES, half=st.integers(1, 6))
def test_the_best_window_of_a_clip_is_that_with_the_best_clip(scores: list[float], half: int) -> None:
    values, mask = padded(scores)

    found, distance = best_windows(values, mask, 2 * half)

    for clip in range(len(scores)):
        starts = [start for start in range(-half, len(scores), half) if start <= clip < start + 2 * half]
        windows = [range(max(0, start), min(len(scores), start + 2 * half)) for start in starts]
        best = max(float(values[0, other]) for window in windows for other in window)
        peaks = {other for window in windows for other in window if float(values[0, other]) == best}
        assert len(windows) == 2
        assert float(found[0, clip]) == best
        assert int(distance[0, clip]) in {abs(clip - peak) for peak in peaks}


def test_a_window_beyond_the_budget_is_kept_around_its_best_clip() -> None:
    options = cone_windows.Options(keep_ratio=0.3, window_clips=4, score="learned", private_width=8)
    trimmer = cone_windows.ConeWindows(options, DIMS).eval()
    trimmer.scorer = Says(torch.tensor([[0.0, 1, 0, 0, 0, 0, 7, 0, 2, 0]])[..., None])

    keep = decide(trimmer, make_batch([10]))[0].keep[0]

    assert places(keep) == [5, 6, 7]


def test_a_group_beyond_the_budget_is_kept_by_its_best_clips() -> None:
    trimmer = decafnet_block.DecafnetBlock(decafnet_block.Options(keep_ratio=0.4, group_clips=3), DIMS).eval()
    trimmer.match = Says(torch.tensor([[5.0, 0, 0, 2, 3, 4, 1, 1, 2, 0]]))

    keep = decide(trimmer, make_batch([10]))[0].keep[0]

    # Means: 5/3, 3, 4/3, 0; so the second group whole, then the best clip of the first.
    assert places(keep) == [0, 3, 4, 5]


def test_cosine_topk_keeps_the_clips_that_point_where_the_query_points() -> None:
    dims = replace(DIMS, text=5)
    batch = make_batch([8], text_width=5, query_lengths=[1])
    index = batch.index.clone()
    index[0, [2, 5], 3:] = 0.1 * batch.query[0]

    trimmer = cosine_topk.CosineTopK(cosine_topk.Options(index_group="Common"), dims).eval()

    assert places(decide(trimmer, replace(batch, index=index))[0].keep[0]) == [2, 5]


@pytest.mark.parametrize("name", ["cosine_topk", "decafnet_block", "cone_windows"])
def test_a_cosine_reads_no_training_data_and_has_nothing_to_learn(name: str) -> None:
    spec = load_catalog().trimmers[name].spec
    options = make_options(spec, None, {"score": "cosine", "index_group": "Common"}, name)

    trimmer = spec.build(options, replace(DIMS, text=5))
    trimmer.fit(never())

    assert trimmer.state_dict() == {}


@pytest.mark.parametrize("name", ["cosine_topk", "decafnet_block", "cone_windows"])
def test_a_cosine_without_a_common_space_is_refused_by_name(name: str) -> None:
    spec = load_catalog().trimmers[name].spec

    with pytest.raises(ConfigError, match=f"trimmer '{name}': the index has 8 numbers a clip and the query 12"):
        spec.build(make_options(spec, None, {"score": "cosine"}, name), DIMS)


def test_a_learned_window_score_has_a_loss_and_a_fitted_one_has_none() -> None:
    batch = make_batch([10, 7])

    def terms(score: str) -> set[str]:
        options = cone_windows.Options(score=score, private_width=8)  # type: ignore[arg-type]  # a word at a time
        trimmer = cone_windows.ConeWindows(options, DIMS).train()
        return set(trimmer.loss(decide(trimmer, batch)[0], batch, student=None, teacher=None))

    assert (terms("learned"), terms("ridge")) == ({"inside"}, set())

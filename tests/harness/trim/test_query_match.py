"""Matches of index and query: cosines worked out by hand, the fit against a slow regression."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from vmrbench.errors import ConfigError
from vmrbench.specs import TrimDims
from vmrbench.testing.factories import make_batch
from vmrbench.trim.query_match import RIDGE, CosineMatch, RidgeMatch, build_match, pooled_query

DIMS = TrimDims(index=5, text=3, rows=9, embedding=None, index_groups={"Scene": 2, "Common": 3})


def test_a_query_is_pooled_over_its_real_tokens() -> None:
    batch = make_batch([4, 4], text_width=3, query_lengths=[4, 2])

    assert torch.allclose(pooled_query(batch)[1], batch.query[1, :2].mean(0))
    assert torch.equal(pooled_query(batch, "first"), batch.query[:, 0])
    assert torch.equal(pooled_query(batch, "last"), torch.stack([batch.query[0, 3], batch.query[1, 1]]))


def test_the_cosine_is_taken_in_the_group_that_is_named() -> None:
    batch = make_batch([3], index_width=5, text_width=3, query_lengths=[1])
    index = torch.tensor([[[9.0, 9.0, 3.0, 0.0, 4.0], [9.0, 0.0, 0.0, 2.0, 0.0], [0.0, 9.0, -6.0, 0.0, -8.0]]])
    batch = replace(batch, index=index, query=torch.tensor([[[0.3, 0.0, 0.4]]]))

    scores = CosineMatch(DIMS, "Common", "mean", "trimmer 'any'")(batch)

    assert torch.allclose(scores, torch.tensor([[1.0, 0.0, -1.0]]), atol=1e-6)


@pytest.mark.parametrize(
    ("group", "told"),
    [
        (None, r"the index has 5 numbers a clip and the query 3: no common space.*Scene \(2\), Common \(3\).*ridge"),
        ("Scene", "index group 'Scene' has 2 numbers a clip and the query 3"),
        ("common", "no index group is named 'common'; did you mean 'Common'"),
    ],
)
def test_features_without_a_common_space_are_told_in_one_line(group: str | None, told: str) -> None:
    with pytest.raises(ConfigError, match=told) as error:
        CosineMatch(DIMS, group, "mean", "trimmer 'any'")

    assert "\n" not in str(error.value)


def test_a_group_beside_the_fitted_map_is_a_mistake() -> None:
    with pytest.raises(ConfigError, match="reads the whole index"):
        build_match("ridge", DIMS, "Common", "mean", "trimmer 'any'")


def test_the_fit_is_the_ridge_regression_from_clips_to_the_query_inside_and_to_zero_outside() -> None:
    lengths = [6, 4, 5, 3]
    batch = make_batch(lengths, index_width=5, text_width=3, clip_seconds=1.0)
    moments = [(1.0, 3.0), (0.0, 1.5), (2.0, 5.0), (0.0, 1.0)]
    batch = replace(batch, moments=tuple(torch.tensor([moment]) for moment in moments))
    match = RidgeMatch(DIMS, "mean")

    match.fit([batch])

    queries = np.stack([batch.query[row][batch.query_mask[row]].numpy().mean(0) for row in range(4)])
    rows, targets = [], []
    for row, (count, (start, end)) in enumerate(zip(lengths, moments, strict=True)):
        index = batch.index[row, :count].numpy().astype(np.float64)
        for clip in range(count):
            rows.append(index[clip] - index.mean(0))
            targets.append(max(0.0, min(clip + 1, end) - max(clip, start)) * (queries[row] - queries.mean(0)))
    # Ridge regression as ordinary least squares with one more row a channel.
    more = np.sqrt(RIDGE * len(rows)) * np.eye(5)
    expected = np.linalg.lstsq(np.vstack([rows, more]), np.vstack([targets, np.zeros((5, 3))]), rcond=None)[0]
    assert np.allclose(match.map.numpy(), expected, atol=1e-5)
    assert np.allclose(match.query_mean.numpy(), queries.mean(0), atol=1e-6)


def test_the_fit_does_not_depend_on_how_queries_are_batched() -> None:
    batch = make_batch([6, 4], index_width=5, text_width=3)
    parts = [make_batch([6, 4], index_width=5, text_width=3, seed=seed) for seed in (1, 2)]
    together, apart = RidgeMatch(DIMS, "mean"), RidgeMatch(DIMS, "mean")

    together.fit([batch, *parts])
    apart.fit([*reversed(parts), batch])

    assert torch.allclose(together.map, apart.map, atol=1e-6)


def test_the_fitted_map_finds_clips_that_carry_the_query() -> None:
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(3, 5, generator=generator)

    def with_signal(seed: int) -> object:
        batch = make_batch([12] * 40, index_width=5, text_width=3, seed=seed)
        index = 0.3 * batch.index
        index[:, 1:3] += (pooled_query(batch) @ hidden)[:, None]
        return replace(batch, index=index)

    match = RidgeMatch(DIMS, "mean")
    match.fit([with_signal(1), with_signal(2)])
    best = match(with_signal(3)).topk(2, dim=1).indices

    # Two of twelve clips carry the query: chance finds a sixth of them.
    assert ((best == 1) | (best == 2)).float().mean() > 0.8

"""Tests that batching by length changes neither the order of predictions nor what is predicted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from vmrbench.engine.predict import SplitPredictions, predict_split
from vmrbench.engine.splits import split_of
from vmrbench.engine.stages import new_arm


@pytest.fixture(scope="module")
def predicted(make_sweep: Callable[..., Any]) -> dict[bool, SplitPredictions]:
    """The test split by an untrained arm, with and without buckets."""
    cell = make_sweep("uniform").cells["uniform"]
    arm, split = new_arm(cell), split_of(cell, "test")
    device = torch.device("cpu")
    return {
        buckets: predict_split(arm, split, batch_size=5, device=device, precision="fp32", buckets=buckets)
        for buckets in (False, True)
    }


def test_predictions_are_in_the_order_of_the_split(make_sweep: Callable[..., Any], predicted: Any) -> None:
    annotations = split_of(make_sweep("uniform").cells["uniform"], "test").annotations
    ids = [annotation.sample_id for annotation in annotations]

    assert len({annotation.duration for annotation in annotations}) > 2
    assert [prediction.sample_id for prediction in predicted[True].predictions] == ids
    assert predicted[True].queries["sample_id"].tolist() == ids


def test_predictions_are_the_same_whatever_shares_a_batch(predicted: Any) -> None:
    plain, bucketed = predicted[False], predicted[True]

    for first, second in zip(plain.predictions, bucketed.predictions, strict=True):
        np.testing.assert_allclose(first.moments, second.moments, atol=1e-3)
    assert plain.queries.drop(columns="moment_kept").equals(bucketed.queries.drop(columns="moment_kept"))
    np.testing.assert_allclose(plain.queries["moment_kept"], bucketed.queries["moment_kept"], atol=1e-6)
    assert all(np.array_equal(a, b) for a, b in zip(plain.kept, bucketed.kept, strict=True))

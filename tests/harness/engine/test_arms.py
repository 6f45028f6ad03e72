"""Tests of how arms are trained and of what they keep, on a tiny sweep that has run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from vmrbench.data.collate import collate
from vmrbench.engine.predict import predict_split, predictions_of
from vmrbench.engine.splits import split_of
from vmrbench.engine.stages import LOG, PREDICTIONS, WEIGHTS, read_queries, trained_arm
from vmrbench.engine.weights import read_weights
from vmrbench.score.submission import read_predictions
from vmrbench.store import read_json

WITH_INDEX = ("all", "zero", "uniform", "random", "spotvmr", "drawn", "supervised", "fitted", "gathered")
EVERY = ("none", *WITH_INDEX, "bare", "held", "adapted")
CPU = torch.device("cpu")


def clips_of(finished: Any) -> np.ndarray:
    """Clips of every query of the test split, counted on the features themselves."""
    split = split_of(finished.cells["all"], "test")
    return np.array([len(split[place].clips) for place in range(len(split))])


@pytest.fixture(scope="module")
def untrained(make_sweep: Callable[..., Any]) -> Any:
    """The same arms without extra epochs: what they start from."""
    sweep = make_sweep(*EVERY, sets=("train.extra_epochs=0",))
    sweep.train()
    return sweep


@pytest.mark.parametrize("arm", EVERY)
def test_an_arm_starts_from_the_weights_of_its_base(untrained: Any, arm: str) -> None:
    base, start = (read_weights(untrained.folder(stage, arm) / WEIGHTS) for stage in ("base", "train"))
    fitted = {"fill.stand_in.weight", "fill.stand_in.bias"}

    shared = [name for name in base if name not in fitted]

    assert [name for name in shared if not torch.equal(base[name], start[name])] == []
    assert {name for name in start if name not in base} == {n for n in start if n.startswith("trimmer.")}


def test_arms_of_one_input_share_one_base(finished: Any) -> None:
    bases = {arm: finished.keys(arm).base for arm in EVERY}

    assert len({bases[arm] for arm in WITH_INDEX}) == 1
    assert len({bases[arm] for arm in ("none", "all", "bare", "held", "adapted")}) == 5
    assert len(finished.store.keys("base")) == 5


@pytest.mark.parametrize("arm", EVERY)
def test_every_arm_is_trained_for_the_extra_epochs(finished: Any, arm: str) -> None:
    base, log = (read_json(finished.folder(stage, arm) / LOG) for stage in ("base", "train"))
    before, after = (read_weights(finished.folder(stage, arm) / WEIGHTS) for stage in ("base", "train"))

    assert (len(base["losses"]), len(log["losses"])) == (1, 1)
    assert log["started_from"] == finished.keys(arm).base
    assert any(not torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize(
    "arm", ["uniform", "random", "spotvmr", "supervised", "fitted", "bare", "held", "adapted", "gathered"]
)
def test_kept_clips_equal_the_budget(finished: Any, arm: str) -> None:
    queries = read_queries(finished.folder("predict", arm))
    clips = clips_of(finished)

    assert queries["clips"].tolist() == clips.tolist()
    assert queries["kept_clips"].tolist() == [max(1, count // 2) for count in clips]
    for kept, count in zip(queries["kept"], clips, strict=True):
        assert len(set(kept)) == max(1, count // 2)
        assert 0 <= min(kept) <= max(kept) < count


@pytest.mark.parametrize(("arm", "share"), [("none", 1), ("all", 1), ("zero", 0)])
def test_references_keep_all_or_nothing(finished: Any, arm: str, share: int) -> None:
    queries = read_queries(finished.folder("predict", arm))

    assert queries["kept_clips"].tolist() == (clips_of(finished) * share).tolist()
    assert queries["moment_kept"].tolist() == pytest.approx([share] * len(queries))


@pytest.mark.parametrize("arm", EVERY)
def test_every_kept_clip_is_read_once_and_no_other(finished: Any, arm: str) -> None:
    cell = finished.cells[arm]
    split = split_of(cell, "test")
    batch = collate([split[place] for place in range(len(split))])

    done = predictions_of(trained_arm(cell, finished.store, finished.keys(arm)), batch, "fp32")

    assert torch.equal(done.reads, done.keep.long())


@pytest.mark.parametrize("arm", ["random", "spotvmr", "drawn", "supervised", "bare", "gathered"])
def test_what_is_kept_and_predicted_does_not_depend_on_the_size_of_batches(finished: Any, arm: str) -> None:
    cell = finished.cells[arm]
    split, stored = split_of(cell, "test"), read_queries(finished.folder("predict", arm))

    done = predict_split(
        trained_arm(cell, finished.store, finished.keys(arm)), split, batch_size=1, device=CPU, precision="fp32"
    )

    assert [kept.tolist() for kept in done.kept] == [list(kept) for kept in stored["kept"]]
    expected = read_predictions(finished.folder("predict", arm) / PREDICTIONS)
    for found, other in zip(done.predictions, expected, strict=True):
        assert np.allclose(found.moments, other.moments, atol=1e-3)


def test_the_backbone_of_an_arm_of_fewer_index_groups_is_narrower_from_its_base_on(finished: Any) -> None:
    def width(stage: str, arm: str) -> int:
        weights = read_weights(finished.folder(stage, arm) / WEIGHTS)
        return max(len(value) for name, value in weights.items() if name.startswith("backbone.video_projection"))

    # One of three groups of 32 numbers stays.
    assert width("base", "all") - width("base", "bare") == 64
    assert width("train", "spotvmr") - width("train", "bare") == 64


def test_what_a_trimmer_fits_is_stored_with_its_weights(finished: Any, untrained: Any) -> None:
    trained, start = (read_weights(sweep.folder("train", "fitted") / WEIGHTS) for sweep in (finished, untrained))

    assert torch.equal(trained["trimmer.match.map"], start["trimmer.match.map"])
    assert trained["trimmer.match.query_mean"].abs().sum() > 0


def test_drawn_clips_do_not_meet_the_budget_exactly(finished: Any) -> None:
    queries = read_queries(finished.folder("predict", "drawn"))

    assert queries["kept_clips"].tolist() != [max(1, count // 2) for count in clips_of(finished)]


@pytest.mark.parametrize("arm", EVERY)
def test_predictions_stand_in_the_order_of_the_annotations(finished: Any, arm: str) -> None:
    annotations = split_of(finished.cells[arm], "test").annotations

    predictions = read_predictions(finished.folder("predict", arm) / PREDICTIONS)

    assert [p.sample_id for p in predictions] == [a.sample_id for a in annotations]
    assert all(
        0 <= start < end <= a.duration + 1e-6
        for p, a in zip(predictions, annotations, strict=True)
        for start, end, _ in p.moments
    )


def test_a_second_store_gives_the_same_predictions(finished: Any, make_sweep: Callable[..., Any]) -> None:
    again = make_sweep("none", "drawn", sets=("cost.latency_samples=0",))

    again.run()

    for arm in ("none", "drawn"):
        first, second = (sweep.folder("predict", arm) / PREDICTIONS for sweep in (finished, again))
        assert first != second
        assert first.read_bytes() == second.read_bytes()


def test_another_seed_gives_other_predictions(finished: Any, make_sweep: Callable[..., Any]) -> None:
    other = make_sweep("none", sets=("seeds=[1]", "cost.latency_samples=0"))

    other.run()

    first, second = (sweep.folder("predict", "none") / PREDICTIONS for sweep in (finished, other))
    assert first.read_bytes() != second.read_bytes()

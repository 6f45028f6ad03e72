"""Arms that remove rows, on a tiny sweep that has run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from vmrbench.cost.macs import count_macs
from vmrbench.data.collate import collate
from vmrbench.engine.splits import split_of
from vmrbench.engine.stages import MACS, PREDICTIONS, new_arm, read_queries
from vmrbench.score.submission import read_predictions
from vmrbench.store import read_json

pytestmark = pytest.mark.slow

SETS = ("cost.macs_shapes=null", "cost.latency_samples=0", "datasets.tiny.options.videos_test=4")


@pytest.fixture(scope="module")
def modes(make_sweep: Callable[..., Any]) -> Any:
    sweep = make_sweep("all", "whole", "gathered", "drawn_gathered", sets=SETS)
    assert dict(sweep.run().failed) == {}
    return sweep


def test_gathering_everything_trains_and_predicts_what_all_does(modes: Any) -> None:
    first, second = (modes.folder("predict", arm) / PREDICTIONS for arm in ("all", "whole"))

    assert first != second
    assert first.read_bytes() == second.read_bytes()


def test_a_pass_of_the_backbone_reads_as_many_rows_as_clips_were_kept(modes: Any) -> None:
    for arm in ("gathered", "drawn_gathered"):
        queries = read_queries(modes.folder("predict", arm))
        assert [list(rows) for rows in queries["passes"]] == [[kept] for kept in queries["kept_clips"]]


def test_the_backbone_is_charged_at_the_rows_that_were_left(modes: Any) -> None:
    cell = modes.cells["gathered"]
    split = split_of(cell, "test")
    queries = read_queries(modes.folder("predict", "gathered"))
    arm = new_arm(cell).eval().requires_grad_(False)
    expected = []
    for place in range(len(split)):
        batch = collate([split[place]])
        with torch.inference_mode():
            access = arm.access(batch)
            decision = arm.select(batch, access)
            expected.append(count_macs(lambda: arm.moments(arm.finish(batch, access, decision))).value)  # noqa: B023

    record = modes.record("gathered")

    assert record["cost"]["macs_cold"]["backbone"]["value"] == pytest.approx(sum(expected) / len(expected))
    seen = read_json(modes.store.path("cost", modes.keys("gathered").macs) / MACS)["seen"]
    assert {shape["clips"] for shape in seen} == set(queries["kept_clips"])


def test_the_record_says_how_the_decision_is_applied(modes: Any) -> None:
    trimmers = {arm: modes.record(arm)["cell"]["trimmer"] for arm in modes.cells}

    assert "apply" not in trimmers["all"]
    assert trimmers["gathered"]["apply"] == "gather"


@pytest.mark.parametrize("arm", ["gathered", "drawn_gathered"])
def test_predictions_lie_inside_their_video(modes: Any, arm: str) -> None:
    durations = {a.sample_id: a.duration for a in split_of(modes.cells[arm], "test").annotations}

    found = read_predictions(modes.folder("predict", arm) / PREDICTIONS)

    assert all(0 <= s < e <= durations[p.sample_id] + 1e-6 for p in found for s, e, _ in p.moments)
    assert all(p.moments for p in found)

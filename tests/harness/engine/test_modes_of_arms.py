"""Arms that remove rows, and arms whose backbone is frozen, on a tiny sweep that has run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from vmrbench.cost.macs import count_macs
from vmrbench.data.collate import collate
from vmrbench.engine.splits import split_of
from vmrbench.engine.stages import LOG, MACS, PREDICTIONS, WEIGHTS, new_arm, read_queries
from vmrbench.engine.weights import read_weights
from vmrbench.score.submission import read_predictions
from vmrbench.store import read_json, read_record

FROZEN = ("frozen", "frozen_adapter", "frozen_still")


@pytest.fixture(scope="module")
def modes(make_sweep: Callable[..., Any]) -> Any:
    sweep = make_sweep("all", "whole", "gathered", "drawn_gathered", *FROZEN, sets=("cost.macs_shapes=null",))
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

    record = read_record(modes.folder("cells", "gathered") / "record.json")

    assert record["cost"]["macs_cold"]["backbone"]["value"] == pytest.approx(sum(expected) / len(expected))
    seen = read_json(modes.store.path("cost", modes.keys("gathered").macs) / MACS)["seen"]
    assert {shape["clips"] for shape in seen} == set(queries["kept_clips"])


def test_the_record_says_how_the_decision_is_applied(modes: Any) -> None:
    trimmers = {arm: read_record(modes.folder("cells", arm) / "record.json")["cell"]["trimmer"] for arm in modes.cells}

    assert "apply" not in trimmers["all"]
    assert trimmers["gathered"]["apply"] == "gather"
    assert trimmers["frozen"]["freeze_backbone"] is True


@pytest.mark.parametrize("arm", FROZEN)
def test_a_frozen_backbone_keeps_every_bit_of_its_base(modes: Any, arm: str) -> None:
    before, after = (read_weights(modes.folder(stage, arm) / WEIGHTS) for stage in ("base", "train"))
    backbone = [name for name in before if name.startswith("backbone.")]

    assert backbone
    assert [name for name in backbone if not torch.equal(before[name], after[name])] == []


def test_around_a_frozen_backbone_trimmer_and_adapter_learn(modes: Any, make_sweep: Callable[..., Any]) -> None:
    start = new_arm(modes.cells["frozen"]).state_dict()
    after = read_weights(modes.folder("train", "frozen") / WEIGHTS)

    assert not torch.equal(start["trimmer.head.0.weight"], after["trimmer.head.0.weight"])
    # The regression that an adapter starts from leaves this at zero.
    assert bool(after["fill.kept_embedding"].any())
    assert len(read_json(modes.folder("train", "frozen") / LOG)["losses"]) == 1


def test_where_nothing_is_left_to_learn_nothing_is_trained(modes: Any) -> None:
    assert read_json(modes.folder("train", "frozen_still") / LOG)["losses"] == []


@pytest.mark.parametrize("arm", ["gathered", "drawn_gathered", "frozen"])
def test_predictions_lie_inside_their_video(modes: Any, arm: str) -> None:
    durations = {a.sample_id: a.duration for a in split_of(modes.cells[arm], "test").annotations}

    found = read_predictions(modes.folder("predict", arm) / PREDICTIONS)

    assert all(0 <= s < e <= durations[p.sample_id] + 1e-6 for p in found for s, e, _ in p.moments)
    assert all(p.moments for p in found)
